"""Rewards and terminations of the locomotion environments, computed by hand from the documented formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from envs import (
    AntDir,
    AntGoal,
    AntVel,
    AntVelSparse,
    HalfCheetahDir,
    HalfCheetahHighDim,
    HalfCheetahVel,
    HalfCheetahVelSparse,
    HopperRandParams,
    HumanoidDir,
    HumanoidVel,
    Reward,
    WalkerRandParams,
)
from envs.locomotion.mujoco_env import Move, MujocoEnv

UP = np.pi / 2


@pytest.mark.parametrize(
    ("env", "features", "task", "reward", "ends"),
    [
        (AntGoal, [0.5, 1.5, 0.1, 0.6], [0.0, 2.0], 4.0 - 1.0 - 0.1 + 0.05, False),  # 0.71 m away, but 1 by the norm
        (AntGoal, [0.0, 1.1, 0.1, 0.6], [0.0, 2.0], 4.0 - 2.0 - 0.1 + 0.05, False),
        (AntGoal, [0.0, 0.0, 0.1, 0.6], [1.2, 1.6], 4.0 - 2.8 - 0.1 + 0.05, False),  # as if at the origin, by the norm
        (AntGoal, [0.0, 2.0, 0.1, 1.1], [0.0, 2.0], 4.0 - 0.1 + 0.05, True),
        (AntVel, [1.0, 0.1, 0.6], [2.5], 1.0 - 1.5 - 0.1 + 0.05, False),
        (AntVel, [1.0, 0.1, 0.19], [2.5], 1.0 - 1.5 - 0.1 + 0.05, True),
        (AntVelSparse, [1.0, 0.1, 0.6], [1.25], -0.25 + 1.0 - 0.1 + 0.05, False),
        (AntVelSparse, [1.0, 0.1, 0.6], [0.5], -0.5 - 0.1 + 0.05, False),
        (AntDir, [1.0, 2.0, 0.1, 0.6], [UP], 2.0 - 0.1 + 1.0, False),
        (AntDir, [1.0, 2.0, 0.1, 0.1], [0.0], 1.0 - 0.1 + 1.0, True),
        (HalfCheetahVel, [1.0, 0.1], [3.0], -2.0 - 0.1, False),
        (HalfCheetahVelSparse, [1.0, 0.1], [1.25], 2.0 - 0.25 - 0.1, False),
        (HalfCheetahVelSparse, [1.0, 0.1], [1.5], -0.1, False),
        (HalfCheetahDir, [2.0, 0.1], [-1.0], -2.0 - 0.1, False),
        (HumanoidVel, [1.0, 0.1, 1.4], [2.0], -1.25 - 0.1 + 5.0, False),
        (HumanoidVel, [1.0, 0.1, 0.9], [2.0], -1.25 - 0.1, False),  # a fall costs the bonus and ends nothing
        (HumanoidDir, [1.0, 2.0, 0.1, 1.4], [UP], 2.5 - 0.1 + 5.0, False),
        (HumanoidDir, [1.0, 2.0, 0.1, 2.1], [0.0], 1.25 - 0.1 + 5.0, True),
        (WalkerRandParams, [1.0, 0.1, 1.2, -0.9], [0.0] * 65, 1.0 + 1.0 - 0.1, False),
        (WalkerRandParams, [1.0, 0.1, 1.2, -1.1], [0.0] * 65, 1.0 + 1.0 - 0.1, True),
        (WalkerRandParams, [1.0, 0.1, 0.7, 0.0], [0.0] * 65, 1.0 + 1.0 - 0.1, True),
        (HopperRandParams, [1.0, 0.1, 1.2, -0.1, 99.0], [0.0] * 41, 1.0 + 1.0 - 0.1, False),
        (HopperRandParams, [1.0, 0.1, 1.2, -0.3, 99.0], [0.0] * 41, 1.0 + 1.0 - 0.1, True),
        (HopperRandParams, [1.0, 0.1, 1.2, 0.0, 101.0], [0.0] * 41, 1.0 + 1.0 - 0.1, True),
        (HopperRandParams, [1.0, 0.1, 0.6, 0.0, 1.0], [0.0] * 41, 1.0 + 1.0 - 0.1, True),
    ],
)
def test_rewards_and_ends_are_those_of_the_formula(
    env: Any, features: list[float], task: list[float], reward: float, ends: bool
) -> None:
    found = env(1).reward(torch.tensor([*features, 0.0]), torch.tensor(task))
    assert float(found.reward) == float(found.sparse_reward) == pytest.approx(reward, abs=1e-6)
    assert bool(found.terminated) == ends
    assert bool(env(1).reward(torch.tensor([*features, 1.0]), torch.tensor(task)).terminated)


def test_a_half_cheetah_whose_subclass_rewards_otherwise_is_paid_so() -> None:
    class Eager(HalfCheetahVel):
        def reward(self, features: torch.Tensor, tasks: torch.Tensor) -> Reward:
            return super().reward(features, tasks)._replace(reward=features[..., 0], terminated=features[..., 1] > 0)

    env = Eager(2)
    env.reset()
    _, reward, terminated, _, info = env.step(torch.full((2, 6), 0.5))
    assert torch.equal(reward, info["features"][:, 0])
    assert terminated.all()


def test_a_humanoids_contact_cost_is_at_most_ten() -> None:
    env = HumanoidVel(1, seed=0, contact_forces=True)
    env.reset()
    readings = np.full_like(env._readings, 1e4)
    features = env._features(Move(env._state, env._state, readings, readings, np.full((1, 17), 0.2)))
    assert features[0, 1] == pytest.approx(10.0 + 0.1 * 17 * 0.04)


def test_the_high_dimensional_reward_is_of_the_state_after_the_step() -> None:
    env = HalfCheetahHighDim(2, seed=0)
    env.reset()
    observation, reward, _, _, info = env.step(torch.full((2, 6), 0.5))
    state = (observation - torch.from_numpy(env._mean)) / torch.from_numpy(env._std)
    torch.testing.assert_close(info["features"][:, :18], state.float(), rtol=1e-4, atol=1e-4)
    expected = (state * env.tasks).sum(-1) - 0.05 * 6 * 0.25
    torch.testing.assert_close(reward, expected.float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("env_class", "position", "velocity", "normal"),
    [(HalfCheetahVel, 0.1, 0.1, True), (AntVel, 0.1, 0.1, True), (HopperRandParams, 0.005, 0.005, False)],
)
def test_starts_deviate_from_the_pose_as_the_page_says(
    env_class: type[MujocoEnv], position: float, velocity: float, normal: bool
) -> None:
    env = env_class(2000, seed=0)
    env.reset()
    physics = env._physics
    moved = physics.positions(env._state) - physics.positions(physics.initial_state[None])
    pushed = physics.velocities(env._state)
    assert np.abs(moved).max() == pytest.approx(position, rel=0.01)
    assert moved.mean() == pytest.approx(0.0, abs=0.01 * position)
    assert pushed.std() == pytest.approx(velocity if normal else velocity / np.sqrt(3), rel=0.02)
    assert (np.abs(pushed).max() > 3 * velocity) == normal
