"""Hand-made trials, so that what replay and relabeling hold is known number by number."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection import Trials

MakeTrials = Callable[..., Trials]


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.fixture
def make_trials() -> MakeTrials:
    """Trials of a point on a plane; consecutive numbers are the first observation coordinate of transitions."""
    numbered = 0

    def make(tasks: Tensor, lengths: list[list[int]], *, horizon: int = 20, positions: Tensor | None = None) -> Trials:
        """Episodes of `lengths` `[tasks][episodes]`; `positions` `[tasks, 2]` holds a task's episodes in one place."""
        nonlocal numbered
        steps_of = torch.tensor(lengths)
        valid = torch.arange(horizon) < steps_of[..., None]
        total = int(valid.sum())
        number = torch.full(valid.shape, -1.0)
        number[valid] = numbered + torch.arange(total, dtype=torch.float32)
        numbered += total
        if positions is None:
            features = 2.0 * torch.rand(*valid.shape, 2, generator=torch.Generator().manual_seed(numbered)) - 1.0
        else:
            features = positions[:, None, None].expand(*valid.shape, 2).clone()
        observation = torch.stack((number, torch.zeros_like(number)), -1)
        steps = TensorDict(
            {
                "observation": observation,
                "action": torch.zeros(*valid.shape, 2),
                "next_observation": observation + 1.0,
                "features": features,
                "reward": torch.full(valid.shape, torch.nan),  # replay must never use what was paid once
                "sparse_reward": torch.full(valid.shape, torch.nan),
                "terminated": torch.zeros_like(valid),
                "valid": valid,
            },
            list(valid.shape),
        )
        return Trials(tasks=tasks, steps=steps, success=None, exploration_episodes=1)

    return make
