"""Where the model is Gymnasium's own, the motion is too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from envs import AntDir, AntGoal, AntMass, HalfCheetahMass, HalfCheetahVel, HumanoidMass, HumanoidVel
from envs.locomotion.mujoco_env import MujocoEnv

STEPS = 20


def _same_start(env: MujocoEnv, name: str, **settings: Any) -> gymnasium.Env[Any, Any]:
    """Gymnasium's environment in the state of the environment's only sub-environment."""
    reference = gymnasium.make(name, **settings).unwrapped
    reference.reset(seed=0)
    physics, state = env._physics, env._state
    reference.set_state(physics.positions(state)[0].copy(), physics.velocities(state)[0].copy())
    return reference


@pytest.mark.parametrize(
    ("env_class", "name", "settings"),
    [
        (HalfCheetahVel, "HalfCheetah-v5", {}),
        (AntDir, "Ant-v5", {"terminate_when_unhealthy": False}),
        (HumanoidVel, "Humanoid-v5", {"terminate_when_unhealthy": False}),
    ],
)
def test_positions_and_velocities_are_gymnasiums_but_for_rounding(
    env_class: type[MujocoEnv], name: str, settings: dict[str, Any]
) -> None:
    env = env_class(1, seed=0)
    env.reset()
    reference = _same_start(env, name, **settings)
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        action = env.action_high * (2 * torch.rand(1, env.meta_spec.action_dim, generator=generator) - 1)
        env.step(action)
        reference.step(action[0].double().numpy())
        np.testing.assert_allclose(env._physics.positions(env._state)[0], reference.data.qpos, rtol=0, atol=1e-12)
        np.testing.assert_allclose(env._physics.velocities(env._state)[0], reference.data.qvel, rtol=0, atol=1e-10)


def test_a_half_cheetah_of_normal_mass_earns_gymnasiums_reward_plus_its_height() -> None:
    env = HalfCheetahMass(1, seed=0)
    env.set_tasks(torch.ones(1, 1))
    env.reset()
    reference = _same_start(env, "HalfCheetah-v5", ctrl_cost_weight=0.05)
    for _ in range(STEPS):
        action = torch.full((1, 6), 0.3)
        _, ours, *_ = env.step(action)
        _, reward, *_ = reference.step(action[0].double().numpy())
        assert float(ours) == pytest.approx(reward + reference.data.qpos[1], abs=1e-4)


@pytest.mark.parametrize(
    ("env_class", "name", "settings"),
    [
        (AntMass, "Ant-v5", {"contact_cost_weight": 0.0005, "healthy_reward": 1.0}),
        (HumanoidMass, "Humanoid-v5", {"contact_cost_weight": 5e-7, "contact_cost_range": (-np.inf, 10.0)}),
    ],
)
@pytest.mark.parametrize("contact_forces", [True, False])
def test_bodies_of_normal_mass_earn_gymnasiums_reward_without_its_contact_cost_unless_forces_are_on(
    env_class: Callable[..., MujocoEnv], name: str, settings: dict[str, Any], contact_forces: bool
) -> None:
    env = env_class(1, seed=0, **({"contact_forces": True} if contact_forces else {}))
    env.set_tasks(torch.ones(1, 1))
    env.reset()
    reference = _same_start(env, name, terminate_when_unhealthy=False, **settings)
    generator = torch.Generator().manual_seed(0)
    most_expensive = 0.0
    for _ in range(STEPS):
        action = env.action_high * (2 * torch.rand(1, env.meta_spec.action_dim, generator=generator) - 1)
        _, ours, _, _, info = env.step(action)
        _, reward, _, _, parts = reference.step(action[0].double().numpy())
        if not contact_forces:
            reward -= parts["reward_contact"]
        costs = parts["reward_ctrl"] + (parts["reward_contact"] if contact_forces else 0.0)
        most_expensive = min(most_expensive, parts["reward_contact"])
        assert float(info["features"][0, 1]) == pytest.approx(-costs, abs=1e-3)
        # Gymnasium takes the ant's velocity from body places that lag behind by a part of a substep.
        assert float(ours) == pytest.approx(reward, abs=0.2 if name == "Ant-v5" else 1e-3)
    assert most_expensive < -2e-3  # else both forms would be the same


@pytest.mark.parametrize("contact_forces", [True, False])
def test_humanoid_observations_are_gymnasiums_with_the_numbers_of_the_world_body(contact_forces: bool) -> None:
    env = HumanoidVel(1, seed=0, contact_forces=contact_forces)
    env.reset()
    reference = _same_start(env, "Humanoid-v5", terminate_when_unhealthy=False)
    for _ in range(STEPS):
        observation = env.step(torch.full((1, 17), 0.2))[0][0].numpy()
        reference.step(np.full(17, 0.2))
    data = reference.data
    assert data.cfrc_ext.any()
    forces = data.cfrc_ext if contact_forces else np.zeros(84)
    parts = [data.qpos[2:], data.qvel, data.cinert, data.cvel, data.qfrc_actuator, forces]
    expected = np.concatenate([part.ravel() for part in parts])
    np.testing.assert_allclose(observation, expected, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("contact_forces", [True, False])
def test_hfrs_ants_observe_gymnasiums_contact_forces_clipped_or_zeros(contact_forces: bool) -> None:
    env = AntGoal(1, seed=0, **({} if contact_forces else {"contact_forces": False}))
    env.reset()
    reference = _same_start(env, "Ant-v5", terminate_when_unhealthy=False)
    reference.model.actuator_gear[:, 0] = 30.0
    for _ in range(STEPS):
        observation, *_, info = env.step(torch.full((1, 8), 0.5))
        reference.step(np.full(8, 0.5))
    forces = reference.data.cfrc_ext.ravel().clip(-1.0, 1.0)
    assert np.square(forces).sum() > 1.0
    expected = forces if contact_forces else np.zeros(84)
    np.testing.assert_allclose(observation[0, 29:].numpy(), expected, atol=1e-3)
    contact_cost = 0.0005 * np.square(expected).sum()
    assert float(info["features"][0, 2]) == pytest.approx(0.005 * 8 * 0.25 + contact_cost, abs=1e-5)
