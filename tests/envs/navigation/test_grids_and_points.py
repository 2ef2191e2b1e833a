"""GridNavi and the point robots, case by case."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from envs import ConfigurationError, FourCorners, GridNavi, PointRobot, SparsePointRobot


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


def test_unshaped_sparse_point_pays_critics_what_the_belief_sees() -> None:
    env = SparsePointRobot(1, goal_distance=0.6, goal_radius=0.3, shaped=False)
    features = torch.tensor([[0.0, 0.4], [0.0, 0.2]])
    reward = env.reward(features, torch.tensor([0.0, 0.6]))
    assert reward.reward.tolist() == reward.sparse_reward.tolist() == pytest.approx([0.8, 0.0])
    assert torch.allclose(torch.linalg.vector_norm(env.tasks, dim=-1), torch.tensor(0.6))


def test_goals_in_the_leftmost_quarter_may_have_a_radius_of_their_own() -> None:
    env = SparsePointRobot(1, goal_distance=0.6, goal_radius=0.3, left_goal_radius=0.1, shaped=False)
    angles = torch.tensor([0.1, 0.74, 0.76, 0.9]) * torch.pi
    goals = 0.6 * torch.stack((angles.cos(), angles.sin()), -1)
    features = goals + torch.tensor([[0.0, 0.2]])
    assert env.reward(features, goals).sparse_reward.tolist() == pytest.approx([0.8, 0.8, 0.0, 0.0])
    assert env.success(features, goals).tolist() == [True, True, False, False]
    assert env.success(goals + 0.05, goals).all()


@pytest.mark.parametrize(("distance", "steps"), [(2.2, None), (2.21, 21), (5.0, 48)])
def test_goals_that_an_episode_is_too_short_for_are_warned_of(distance: float, steps: int | None) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        SparsePointRobot(1, goal_distance=distance)
    told = [str(warning.message) for warning in caught]
    assert len(told) == (steps is not None)
    assert steps is None or f"some goals need {steps} steps, and an episode has 20" in told[0]


@pytest.mark.parametrize("wrong", [{"goal_radius": 0.0}, {"goal_distance": -1.0}, {"left_goal_radius": float("nan")}])
def test_a_sparse_point_without_goals_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))} = .* must be positive and finite"):
        SparsePointRobot(1, **wrong)


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
