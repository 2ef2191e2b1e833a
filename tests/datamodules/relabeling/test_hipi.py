"""HIPI, with a foresight whose action values are a table; and references to single transitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import special, stats
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection import Trials
from datamodules.relabeling import HIPIRelabeler
from datamodules.replay import TaskReplay, Trajectories
from envs import PointRobot

MakeTrials = Callable[..., Trials]
SLOTS, LENGTH = 3, 5
VALUES = torch.tensor([[0.0, 1.0, 2.0, 0.5, -1.0], [1.0, 0.0, 0.5, 2.0, 0.0], [10.0, 12.0, 10.5, 10.0, 11.0]])


@dataclass
class TableForesight:
    """The value of the i-th transition under task ψ stands in row ψ of `VALUES`."""

    def action_values(self, contexts: TensorDict, transitions: TensorDict, generator: torch.Generator) -> Tensor:
        assert not torch.is_grad_enabled()
        assert contexts.batch_size == (SLOTS, 4)
        return VALUES[:, : len(transitions)]


@pytest.fixture
def collected(make_trials: MakeTrials) -> tuple[TaskReplay, Trajectories]:
    """One episode of five steps a slot, not kept for anyone yet."""
    replay = TaskReplay(PointRobot(num_envs=SLOTS), slots=SLOTS, capacity=100)
    replay.tasks.copy_(torch.tensor([[0.5, 0.5], [-0.5, 0.5], [0.0, -0.9]]))
    trials = make_trials(replay.tasks.clone(), [[LENGTH]] * SLOTS)
    return replay, replay.add(trials, torch.arange(SLOTS), torch.ones(1, dtype=torch.bool))


def hipi(**settings: object) -> HIPIRelabeler:
    relabeler = HIPIRelabeler(probability=1.0, context=4, **settings)  # type: ignore[arg-type]
    relabeler.bind(0, 0)
    return relabeler


def expected_probabilities() -> np.ndarray:
    """P(ψ | transition) `[transition, ψ]`, from the definition."""
    values = VALUES.double().numpy()
    log_z = np.log(np.exp(values).mean(1))
    return special.softmax(values.T - log_z, axis=1)


def test_every_transition_is_drawn_from_the_softmax_of_value_minus_log_partition(
    collected: tuple[TaskReplay, Trajectories],
) -> None:
    replay, trajectories = collected
    relabeler, draws = hipi(), 1500
    chosen = torch.stack([relabeler.relabel(trajectories, replay, TableForesight())[0] for _ in range(draws)])
    for step, probabilities in enumerate(expected_probabilities()):
        counts = torch.bincount(chosen[:, step], minlength=SLOTS).numpy()
        assert stats.chisquare(counts, draws * probabilities).pvalue > 1e-4


def test_argmax_takes_the_most_probable_task(collected: tuple[TaskReplay, Trajectories]) -> None:
    replay, trajectories = collected
    chosen = hipi(choice="argmax").relabel(trajectories, replay, TableForesight())
    assert chosen.tolist() == [expected_probabilities().argmax(1).tolist()] * SLOTS


def test_the_log_partition_is_the_mean_over_transitions_of_every_task(
    collected: tuple[TaskReplay, Trajectories],
) -> None:
    replay, trajectories = collected
    relabeler = hipi()
    relabeler.relabel(trajectories, replay, TableForesight())
    expected = np.log(np.exp(VALUES.double().numpy()).mean(1)).mean()
    assert relabeler.metrics()["relabel/log_partition"] == pytest.approx(expected, rel=1e-5)


def test_only_transitions_that_exist_are_valued_and_only_slots_with_recent_data_chosen(make_trials: MakeTrials) -> None:
    valued: list[int] = []

    class LastIsBest:
        def action_values(self, contexts: TensorDict, transitions: TensorDict, generator: object) -> Tensor:
            valued.append(len(transitions))
            values = torch.zeros(len(contexts), len(transitions))
            values[-1, 0] = 9.0
            return values

    replay = TaskReplay(PointRobot(num_envs=SLOTS), slots=SLOTS, capacity=100)
    trials = make_trials(torch.rand(2, 2), [[3], [LENGTH]])
    trajectories = replay.add(trials, torch.tensor([0, 2]), torch.ones(1, dtype=torch.bool))
    chosen = hipi(choice="argmax").relabel(trajectories, replay, LastIsBest())  # type: ignore[arg-type]
    assert valued == [3, LENGTH]
    assert chosen[:, 0].tolist() == [2, 2]
    assert chosen[0, 3:].tolist() == [0, 0]  # padding stays its own
    assert 1 not in chosen


def test_transitions_of_one_trajectory_go_to_different_tasks_and_each_is_stored_once(
    collected: tuple[TaskReplay, Trajectories], generator: torch.Generator
) -> None:
    replay, trajectories = collected
    kept_for = torch.tensor([[0, 0, 1, 1, 2], [2, 2, 2, 2, 2], [0, 1, 0, 1, 0]])
    replay.keep(trajectories, kept_for)
    assert replay.store.written == SLOTS * LENGTH
    numbers = trajectories.starts[:, None] + torch.arange(LENGTH)
    for slot in range(SLOTS):
        drawn = replay.critic.sample(torch.tensor([slot]), 500, generator)
        assert set(drawn.flatten().tolist()) == set(numbers[kept_for == slot].tolist())


def test_start_states_are_only_those_that_begin_an_episode(
    collected: tuple[TaskReplay, Trajectories], generator: torch.Generator
) -> None:
    replay, trajectories = collected
    replay.keep(trajectories, torch.tensor([[0, 1, 1, 1, 1], [1, 0, 0, 0, 0], [2, 2, 2, 2, 2]]))
    starts = replay.start_states(torch.arange(SLOTS), 50, generator).observations
    first = replay.store.get(trajectories.starts)["observation"]
    assert all(torch.equal(starts[slot], first[slot].expand(50, -1)) for slot in range(SLOTS))
