"""Trials as sequences: order, borders between episodes, and padding."""

from __future__ import annotations

import torch
from tensordict import TensorDict

from datamodules.collection import Trials, as_sequences

HORIZON = 4


def trials(lengths: list[list[int]], terminated: list[list[bool]]) -> Trials:
    """Episodes of `lengths` `[tasks][episodes]`, their steps numbered through within a trial."""
    valid = torch.arange(HORIZON) < torch.tensor(lengths)[..., None]
    number = torch.where(valid, valid.flatten(1).cumsum(1).view_as(valid), 0).float()
    last = torch.arange(HORIZON) == torch.tensor(lengths)[..., None] - 1
    steps = {
        "observation": torch.where(valid, number, torch.nan)[..., None],  # what padding holds must not matter
        "reward": number,
        "terminated": last & torch.tensor(terminated)[..., None],
        "valid": valid,
    }
    return Trials.of(torch.zeros(len(lengths), 1), steps)


def rows(sequences: TensorDict, key: str) -> list[list[float]]:
    return [[float(x) for x in row] for row in sequences[key]]


def test_full_episodes_follow_each_other() -> None:
    sequences = as_sequences(trials([[4, 4]], [[False, True]]))
    assert rows(sequences, "reward") == [[1, 2, 3, 4, 5, 6, 7, 8]]
    assert rows(sequences, "begins") == [[0, 0, 0, 0, 1, 0, 0, 0]]
    assert rows(sequences, "ends") == [[0, 0, 0, 1, 0, 0, 0, 1]]
    assert rows(sequences, "truncated") == [[0, 0, 0, 1, 0, 0, 0, 0]]
    assert sequences["observation"].shape == (1, 8, 1)


def test_short_episodes_move_up_so_that_padding_stands_at_the_end_only() -> None:
    sequences = as_sequences(trials([[2, 4, 1], [1, 1, 1]], [[True, False, True], [True, True, True]]))
    assert rows(sequences, "reward") == [[1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 0, 0, 0, 0]]
    assert rows(sequences, "valid") == [[1] * 7, [1, 1, 1, 0, 0, 0, 0]]
    assert rows(sequences, "begins") == [[0, 0, 1, 0, 0, 0, 1], [0, 1, 1, 0, 0, 0, 0]]
    assert rows(sequences, "ends") == [[0, 1, 0, 0, 0, 1, 1], [1, 1, 1, 0, 0, 0, 0]]
    assert rows(sequences, "truncated") == [[0, 0, 0, 0, 0, 1, 0], [0] * 7]
    assert torch.equal(sequences["observation"][..., 0], sequences["reward"])
