"""Generalized hindsight, against percentiles counted by hand and by scipy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from datamodules.collection import Trials
from datamodules.relabeling import GeneralizedHindsightRelabeler
from datamodules.relabeling.generalized_hindsight import percentile, returns
from datamodules.replay import TaskReplay, Trajectories
from envs import ConfigurationError, FourCorners, PointRobot
from tests.environments import EndingPoint

MakeTrials = Callable[..., Trials]
SLOTS, EPISODES, LENGTH = 3, 4, 5


@pytest.fixture
def collected(make_trials: MakeTrials) -> tuple[TaskReplay, Trajectories]:
    """Four episodes of five steps a slot, not kept for anyone yet."""
    replay = TaskReplay(PointRobot(num_envs=SLOTS), slots=SLOTS, capacity=1000)
    replay.tasks.copy_(torch.tensor([[0.5, 0.5], [-0.5, 0.5], [0.0, -0.9]]))
    trials = make_trials(replay.tasks.clone(), [[LENGTH] * EPISODES] * SLOTS)
    return replay, replay.add(trials, torch.arange(SLOTS), torch.ones(EPISODES, dtype=torch.bool))


def relabeler(**settings: object) -> GeneralizedHindsightRelabeler:
    made = GeneralizedHindsightRelabeler(probability=1.0, **settings)  # type: ignore[arg-type]
    made.bind(0, 0)
    return made


def plain_returns(replay: TaskReplay, trajectories: Trajectories) -> np.ndarray:
    """Returns `[trajectories, slots]`, one step after the other."""
    table = np.zeros((len(trajectories.starts), replay.slots))
    for row, steps in enumerate(replay.trajectory_steps(trajectories)):
        for slot, task in enumerate(replay.tasks):
            for step in steps[steps["valid"]]:
                reward = replay.env.reward(step["features"], task)
                table[row, slot] += float(reward.reward)
                if bool(reward.terminated):
                    break
    return table


def test_the_percentile_is_the_mid_rank_of_scipy() -> None:
    generator = torch.Generator().manual_seed(1)
    references = torch.randint(0, 5, (30, 4), generator=generator).float()
    values = torch.randint(0, 5, (7, 4), generator=generator).float()
    expected = [
        [stats.percentileofscore(references[:, task], values[row, task], kind="mean") / 100 for task in range(4)]
        for row in range(7)
    ]
    assert np.allclose(percentile(values, references).numpy(), expected, atol=1e-6)


def test_a_trajectory_is_kept_for_the_task_under_which_it_ranks_highest(
    collected: tuple[TaskReplay, Trajectories],
) -> None:
    replay, trajectories = collected
    table = plain_returns(replay, trajectories)
    ranks = stats.rankdata(table, axis=0)
    chosen = relabeler().relabel(trajectories, replay, None)
    best = ranks.max(1)
    assert all(ranks[row, slot] == best[row] for row, slot in enumerate(chosen.tolist()))
    assert len(chosen.unique()) > 1


def test_a_return_counts_up_to_where_the_episode_would_have_terminated(make_trials: MakeTrials) -> None:
    replay = TaskReplay(FourCorners(num_envs=2), slots=2, capacity=100)
    replay.tasks.copy_(torch.tensor([[1.0, 1.0], [-1.0, 1.0]]))
    trials = make_trials(replay.tasks.clone(), [[4], [4]])
    trials.steps["features"][:, 0, :4] = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    trajectories = replay.add(trials, torch.arange(2), torch.ones(1, dtype=torch.bool))
    assert returns(trajectories, torch.arange(2), replay).tolist() == [[-1.0, -4.0], [-1.0, -4.0]]
    assert np.allclose(plain_returns(replay, trajectories), [[-1.0, -4.0], [-1.0, -4.0]])


def test_the_reward_of_the_step_that_terminates_counts(make_trials: MakeTrials) -> None:
    replay = TaskReplay(EndingPoint(num_envs=1), slots=1, capacity=100)
    trials = make_trials(torch.zeros(1, 2), [[3]])
    trials.steps["features"][0, 0, :3] = torch.tensor([[1.0, 0.0], [0.5, 0.0], [0.0, 0.0]])  # ends within 0.7
    trajectories = replay.add(trials, torch.arange(1), torch.ones(1, dtype=torch.bool))
    assert returns(trajectories, torch.arange(1), replay).tolist() == [[-1.5]]


def test_equal_ranks_are_drawn_uniformly(collected: tuple[TaskReplay, Trajectories]) -> None:
    replay, trajectories = collected
    replay.tasks.copy_(replay.tasks[:1].expand(3, 2))  # one task three times: all ranks are equal
    generalized = relabeler()
    chosen = torch.cat([generalized.relabel(trajectories, replay, None) for _ in range(100)])
    assert stats.chisquare(chosen.bincount(minlength=3).numpy()).pvalue > 1e-3


def test_only_the_latest_references_that_the_replay_still_has_are_compared(make_trials: MakeTrials) -> None:
    replay = TaskReplay(PointRobot(num_envs=1), slots=1, capacity=20)
    replay.tasks.copy_(torch.tensor([[0.5, 0.5]]))
    kept = {}
    for references in (3, 100):
        replay = TaskReplay(PointRobot(num_envs=1), slots=1, capacity=20)
        generalized = relabeler(references=references)
        for _ in range(6):
            trials = make_trials(torch.tensor([[0.5, 0.5]]), [[LENGTH]])
            generalized.relabel(replay.add(trials, torch.arange(1), torch.ones(1, dtype=torch.bool)), replay, None)
        kept[references] = generalized.state_dict()["starts"].tolist()
    assert kept == {3: [15, 20, 25], 100: [10, 15, 20, 25]}


def test_a_restored_relabeler_goes_on_with_the_same_references(collected: tuple[TaskReplay, Trajectories]) -> None:
    replay, trajectories = collected
    first, second = relabeler(), relabeler()
    first.relabel(trajectories, replay, None)
    second.load_state_dict(first.state_dict())
    few = trajectories.select(torch.arange(12) < 2)
    assert torch.equal(first.relabel(few, replay, None), second.relabel(few, replay, None))
    assert first.metrics() == second.metrics()


def test_no_references_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="GeneralizedHindsightRelabeler: references = 0"):
        GeneralizedHindsightRelabeler(references=0)
