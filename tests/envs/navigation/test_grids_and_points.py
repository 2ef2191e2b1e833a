"""GridNavi and the point robots, case by case."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from envs import FourCorners, GridNavi, PointRobot, SparsePointRobot


def test_grid_moves_and_edges() -> None:
    env = GridNavi(1)
    env.reset()
    visited = [env.step(np.array([choice]))[0][0].tolist() for choice in (1, 2, 3, 3, 4, 4, 0)]
    assert visited == [[0, 1], [1, 1], [1, 0], [1, 0], [0, 0], [0, 0], [0, 0]]


def test_grid_goal_pays_in_every_step_on_it() -> None:
    env = GridNavi(1)
    env.set_tasks(torch.tensor([[0.0, 2.0]]))
    env.reset()
    rewards = [float(env.step(np.array([choice]))[1][0]) for choice in (1, 1, 0)]
    assert rewards == pytest.approx([-0.1, 1.0, 1.0])


def test_grid_goals_keep_away_from_the_start() -> None:
    goals = GridNavi.task_distribution.sample(2000, torch.Generator().manual_seed(0)).unique(dim=0)
    assert len(goals) == 21
    assert float(goals.max(-1).values.min()) == 2.0


def test_a_choice_that_does_not_exist_is_refused() -> None:
    env = GridNavi(2)
    env.reset()
    with pytest.raises(
        ValueError, match="GridNavi, sub-environment 1: action 5 is not one of the whole numbers 0 to 4"
    ):
        env.step(np.array([0, 5]))


def test_point_moves_are_clipped() -> None:
    env = SparsePointRobot(1)
    env.reset()
    with pytest.warns(UserWarning, match="is clipped"):
        observation, *_ = env.step(torch.tensor([[5.0, -0.05]]))
    assert torch.allclose(observation, torch.tensor([[0.1, -0.05]]))


def test_sparse_point_pays_within_the_radius_only() -> None:
    goal, features = torch.tensor([0.0, 1.0]), torch.tensor([[0.0, 0.9], [0.0, 0.7]])
    reward = SparsePointRobot(1).reward(features, goal)
    assert reward.reward.tolist() == pytest.approx([-0.1, -0.3])
    assert reward.sparse_reward.tolist() == pytest.approx([0.9, 0.0])


def test_dense_point_pays_minus_the_distance() -> None:
    assert float(PointRobot(1).reward(torch.zeros(2), torch.tensor([0.6, 0.8])).reward) == pytest.approx(-1.0)


def test_an_evaluation_of_four_corners_visits_every_corner_before_any_twice() -> None:
    for seed in range(5):
        tasks = FourCorners(1).evaluation_tasks("validation").sample(8, torch.Generator().manual_seed(seed))
        assert (
            len({tuple(task) for task in tasks[:4].tolist()}) == len({tuple(task) for task in tasks[4:].tolist()}) == 4
        )
        assert bool(FourCorners.task_distribution.contains(tasks).all())


def test_four_corners_trap_lies_in_the_goals_own_quadrant() -> None:
    goal = torch.tensor([-1.0, 1.0])
    places = torch.tensor([[-0.3, 0.3], [0.3, 0.3], [-0.05, 0.3], [-0.9, 0.9]])
    reward = FourCorners(1).reward(places, goal)
    assert reward.reward.tolist() == [-3.0, -1.0, -1.0, 0.0]
    assert reward.terminated.tolist() == [False, False, False, True]
