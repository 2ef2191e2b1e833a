"""HFR's Sawyer environments: rewards by hand, physics step by step."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch

from envs import SawyerPush, SawyerPushSparse, SawyerReach, SawyerReachSparse
from envs.manipulation.sawyer import SawyerPhysics, sawyer_model
from envs.physics import Models

GOAL = torch.tensor([[0.05, 0.8, 0.2]])


def features(*numbers: float) -> torch.Tensor:
    return torch.tensor([[*numbers, 0.0]])


def test_the_batched_arm_moves_as_mujoco_steps_it() -> None:
    physics, model = SawyerPhysics(threads=2), sawyer_model()
    start = physics.settled((0.0, 0.6, 0.2))
    action = np.array([1.0, -0.5, 0.3, 1.0])
    states, actions = np.stack((start, start)), np.stack((action, 0.0 * action))
    after, readings, _ = physics.advance(Models(model, 2).addresses, states, actions)
    data = mujoco.MjData(model)
    mujoco.mj_setState(model, data, start, physics._parts)
    data.mocap_pos[0] += 0.01 * action[:3]
    data.ctrl[:] = action[3], -action[3]
    for _ in range(5):
        mujoco.mj_step(model, data)
    assert (physics.positions(after)[0] == data.qpos).all()
    assert (physics.hand(readings)[0] == data.body("hand").xpos).all()
    assert (physics.puck(readings)[0] == data.geom("objGeom").xpos).all()
    assert not (after[0] == after[1]).all()


def test_the_target_of_the_hand_stays_within_its_bounds() -> None:
    env = SawyerReach(1)
    env.reset()
    for _ in range(120):
        observation, *_ = env.step(torch.tensor([[1.0, 1.0, 1.0, 0.0]]))
    assert env._state[0, env._physics._target].tolist() == [0.5, 1.0, 0.5]
    assert observation[0, :3].max() < 1.05


def test_dense_reach_pays_most_at_the_goal_and_never_less_than_nothing() -> None:
    env = SawyerReach(1)
    env.reset()
    at_goal = env.reward(features(0.05, 0.8, 0.2), GOAL)
    grip = torch.from_numpy(env._physics.grip(env._readings)[0]).float()
    assert float(at_goal.reward) == pytest.approx(1000 * float((grip - GOAL).norm()) + 2000, rel=1e-5)
    off = env.reward(features(0.05, 0.8, 0.3), GOAL)
    assert float(off.reward) == pytest.approx(
        1000 * (float((grip - GOAL).norm()) - 0.1 + np.exp(-1.0) + np.exp(-10.0)), rel=1e-5
    )
    assert float(env.reward(features(0.0, -3.0, 0.0), GOAL).reward) == 0.0
    assert not bool(at_goal.terminated)


@pytest.mark.parametrize("env_class", [SawyerReachSparse, SawyerPushSparse])
def test_sparse_environments_pay_minus_one_until_the_goal_where_they_end(
    env_class: type[SawyerReachSparse] | type[SawyerPushSparse],
) -> None:
    radius = 0.05 if env_class is SawyerReachSparse else 0.07
    for distance, arrived in ((radius - 1e-3, True), (radius + 1e-3, False)):
        there = (0.05, 0.8 - distance, 0.2 if env_class is SawyerReachSparse else 0.4)
        reward = env_class(1).reward(features(*there), GOAL)
        assert float(reward.reward) == float(reward.sparse_reward) == float(arrived) - 1.0
        assert bool(reward.terminated) == arrived
        assert bool(env_class(1).success(features(*there), GOAL)) == arrived


def test_only_the_sparse_push_starts_with_the_hand_low_over_the_table() -> None:
    reach, push, sparse = (
        float(env_class(1).reset()[0][0, 2]) for env_class in (SawyerReach, SawyerPush, SawyerPushSparse)
    )
    assert sparse < 0.1
    assert reach == push > 0.2


def test_dense_push_pays_for_the_puck_only_when_the_fingers_are_at_it() -> None:
    env = SawyerPush(1)
    away = env.reward(features(0.05, 0.8, 0.2), GOAL)
    touching = env.reward(features(0.05, 0.8, 0.02), GOAL)
    assert float(away.reward) == pytest.approx(-0.2)
    way = float((torch.tensor([0.0, 0.6]) - GOAL[0, :2]).norm())
    assert float(touching.reward) == pytest.approx(1000 * way + 2000 - 0.02, rel=1e-5)
    assert bool(env.success(features(0.05, 0.8, 0.2), GOAL))


def test_a_hand_that_is_led_to_the_goal_succeeds() -> None:
    env = SawyerReachSparse(1)
    goal = torch.tensor([[0.0, 0.75, 0.15]])
    env.set_tasks(goal)
    env.reset()
    for _ in range(60):
        grip = torch.from_numpy(env._physics.grip(env._readings)).float()
        action = torch.cat(((20 * (goal - grip)).clamp(-1, 1), torch.zeros(1, 1)), -1)
        _, _, terminated, _, info = env.step(action)
        if terminated:
            break
    assert info["success"].tolist() == [True]
