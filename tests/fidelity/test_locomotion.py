"""RoML's robots earn what its published code gave, and differ from it where they say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch
from torch import Tensor

from envs import AntBody, AntMass, HalfCheetahMass, HumanoidBody, HumanoidMass, HumanoidVel
from envs.locomotion.mujoco_env import ASSETS, MujocoEnv

RECORDED = json.loads(Path(__file__).with_name("locomotion.json").read_text())
IDLE, RANDOM = RECORDED["idle_humanoid"], RECORDED["random_half_cheetah"]


def started(make: Callable[..., MujocoEnv], factors: list[float], **arguments: bool) -> MujocoEnv:
    """The environment at the start of an episode; the first coordinate of each task is a mass factor."""
    env = make(len(factors), seed=0, **arguments)
    tasks = torch.ones(len(factors), env.meta_spec.task_dim)
    tasks[:, 0] = torch.tensor(factors)
    env.set_tasks(tasks)
    env.reset()
    return env


def returns(env: MujocoEnv, random: bool = False) -> Tensor:
    """Returns `[num_envs]` of one episode of action 0, or of uniformly random actions."""
    generator, total = torch.Generator().manual_seed(0), torch.zeros(env.num_envs)
    for _ in range(env.meta_spec.horizon):
        unit = 2.0 * torch.rand(env.num_envs, env.meta_spec.action_dim, generator=generator) - 1.0
        total += env.step(env.action_high * unit if random else torch.zeros_like(unit))[1]
    return total


@pytest.mark.parametrize("arguments", [{}, {"update_derived": False}])
def test_idle_humanoids_earn_what_was_published_whatever_their_mass(arguments: dict[str, bool]) -> None:
    factors = [float(factor) for factor in IDLE["published"]]
    found = returns(started(HumanoidMass, 4 * factors, **arguments)).view(4, -1).mean(0)
    np.testing.assert_allclose(found, list(IDLE["published"].values()), atol=100)


def test_idle_humanoids_with_contact_forces_earn_what_made_them_an_artifact() -> None:
    factors = [float(factor) for factor in IDLE["with_contact_forces"]]
    found = returns(started(HumanoidMass, 4 * factors, contact_forces=True)).view(4, -1).mean(0)
    np.testing.assert_allclose(found, list(IDLE["with_contact_forces"].values()), atol=100)


@pytest.mark.parametrize("make", [HumanoidVel, HumanoidMass, HumanoidBody, AntMass, AntBody])
def test_contact_forces_are_off_unless_asked_for_and_no_observation_changes_its_size(
    make: Callable[..., MujocoEnv],
) -> None:
    without, with_forces = started(make, [1.0] * 2), started(make, [1.0] * 2, contact_forces=True)
    most_paid = 0.0
    for _ in range(40):
        actions = 0.5 * without.action_high.expand(2, -1)
        plain, *_, info = without.step(actions)
        forced, *_, forced_info = with_forces.step(actions)
        assert plain.shape == forced.shape
        costs = info["features"][:, 1]
        effort = without.action_high.square().sum() * 0.25 * (0.5 if make in (AntMass, AntBody) else 0.1)
        torch.testing.assert_close(costs, effort.expand(2))
        most_paid = max(most_paid, float((forced_info["features"][:, 1] - costs).max()))
    assert most_paid > 1e-3
    if plain.shape[1] == 376:
        assert not plain[:, -84:].any()
        assert forced[:, -84:].any()


def test_heavy_half_cheetahs_under_random_actions_earn_what_was_recorded_with_either_bounding_radii() -> None:
    published, updated = (
        float(returns(started(HalfCheetahMass, [2.0] * 100, update_derived=update), random=True).mean())
        for update in (False, True)
    )
    # The records are means of few episodes, which vary by about 30.
    assert published == pytest.approx(RANDOM["published"], abs=25)
    assert updated == pytest.approx(RANDOM["update_derived"], abs=15)
    assert updated - published > 10


def test_bounding_radii_matter_to_heavy_half_cheetahs_alone() -> None:
    factors = [0.5, 0.8, 1.0, 2.0]
    follow, stay = (started(HalfCheetahMass, factors, update_derived=update) for update in (True, False))
    ours, published = returns(follow, random=True), returns(stay, random=True)
    assert torch.equal(ours[:3], published[:3])
    assert abs(float(ours[3] - published[3])) > 1.0


def test_the_published_half_cheetah_moves_as_mujoco_moves_a_model_with_nothing_but_its_masses_and_sizes_scaled() -> (
    None
):
    env = started(HalfCheetahMass, [2.0], update_derived=False)
    model = mujoco.MjModel.from_xml_path(str(ASSETS / "half_cheetah.xml"))
    model.body_mass[:] *= 2.0
    model.geom_size[1:, 0] = 0.046 * 2.0
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_MIDPHASE.value  # MuJoCo 2.0 had no mid phase
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = env._physics.positions(env._state)[0], env._physics.velocities(env._state)[0]
    generator = np.random.default_rng(0)
    for _ in range(50):
        action = generator.uniform(-1.0, 1.0, 6).astype(np.float32)
        data.ctrl[:] = action
        mujoco.mj_step(model, data, 5)
        env.step(torch.from_numpy(action)[None])
        np.testing.assert_allclose(env._physics.positions(env._state)[0], data.qpos, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "action", "cost"),
    [(HalfCheetahMass, 2.0, 0.3), (AntMass, 2.0, 4.0), (HumanoidMass, 1.0, 0.272)],  # published: 1.2, 16, 0.272
)
def test_control_costs_count_the_action_within_its_bounds(
    make: Callable[..., MujocoEnv], action: float, cost: float
) -> None:
    env = started(make, [1.0])
    *_, info = env.step(torch.full((1, env.meta_spec.action_dim), action))
    assert float(info["features"][0, 1]) == pytest.approx(cost, rel=1e-5)
