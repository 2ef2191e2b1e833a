"""Tasks that change the body change only the model of their own sub-environment, by the factors that they name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from envs import (
    AntBody,
    AntMass,
    HalfCheetahBody,
    HalfCheetahMass,
    HalfCheetahMulti,
    HopperRandParams,
    HumanoidBody,
    HumanoidMass,
    WalkerRandParams,
)
from envs.locomotion.mujoco_env import MujocoEnv


def _with_tasks(env_class: Callable[..., MujocoEnv], tasks: list[list[float]], **arguments: bool) -> MujocoEnv:
    env = env_class(len(tasks), seed=0, **arguments)
    env.set_tasks(torch.tensor(tasks))
    env.reset()
    return env


@pytest.mark.parametrize("env_class", [HalfCheetahMass, AntMass, HumanoidMass])
def test_mass_factors_scale_the_masses_of_each_sub_environment(env_class: type[MujocoEnv]) -> None:
    env = _with_tasks(env_class, [[0.5], [2.0]])
    original = env._physics.model
    for model, factor in zip(env._models, (0.5, 2.0)):
        np.testing.assert_allclose(model.body_mass, factor * original.body_mass)
        np.testing.assert_allclose(model.body_subtreemass, factor * original.body_subtreemass)
        np.testing.assert_array_equal(model.body_inertia, original.body_inertia)
        radius_factor = 1.0 if env_class is AntMass else factor
        np.testing.assert_allclose(model.geom_size[1:, 0], radius_factor * original.geom_size[1:, 0])
        np.testing.assert_array_equal(model.geom_size[0], original.geom_size[0])


def test_tasks_that_hold_from_the_next_reset_on_are_saved_beside_the_bodies_of_now() -> None:
    env, restored = _with_tasks(HalfCheetahMass, [[0.5], [2.0]]), HalfCheetahMass(2, seed=1)
    env.set_tasks(torch.tensor([[1.0], [1.5]]))
    restored.load_state_dict(env.state_dict())
    assert restored.tasks.tolist() == [[1.0], [1.5]]
    for model, factor in zip(restored._models, (0.5, 2.0)):
        np.testing.assert_allclose(model.body_mass, factor * env._physics.model.body_mass)


@pytest.mark.parametrize("env_class", [HalfCheetahBody, AntBody, HumanoidBody])
def test_body_factors_scale_mass_damping_and_length(env_class: type[MujocoEnv]) -> None:
    env = _with_tasks(env_class, [[2.0, 0.5, 1.5]])
    model, original = env._models[0], env._physics.model
    np.testing.assert_allclose(model.body_mass, 2.0 * original.body_mass)
    np.testing.assert_allclose(model.dof_damping, 0.5 * original.dof_damping)
    axis = 0 if env_class is HumanoidBody else 1
    assert model.geom_size[2, axis] == pytest.approx(1.5 * original.geom_size[2, axis])


def test_bounds_follow_the_sizes_as_if_compiled_so() -> None:
    model = _with_tasks(HalfCheetahBody, [[2.0, 1.0, 1.5]])._models[0]
    capsules = model.geom_size[1:]
    np.testing.assert_allclose(model.geom_rbound[1:], capsules[:, 0] + capsules[:, 1])


@pytest.mark.parametrize("env_class", [HalfCheetahMass, HalfCheetahBody, AntBody, HumanoidMass, HumanoidBody])
def test_what_mujoco_derives_from_sizes_and_masses_stays_only_if_asked_to(env_class: type[MujocoEnv]) -> None:
    task = [2.0, 1.0, 1.5][: env_class.meta_spec.task_dim]
    updated, kept = _with_tasks(env_class, [task]), _with_tasks(env_class, [task], update_derived=False)
    original = kept._physics.model
    np.testing.assert_array_equal(kept._models[0].geom_size, updated._models[0].geom_size)
    np.testing.assert_array_equal(kept._models[0].body_mass, updated._models[0].body_mass)
    for derived in ("geom_rbound", "body_subtreemass"):
        np.testing.assert_array_equal(getattr(kept._models[0], derived), getattr(original, derived))
        assert (getattr(updated._models[0], derived) > getattr(original, derived)).any()


def test_multi_factors_scale_their_properties() -> None:
    factors = np.linspace(0.75, 1.35, 10)
    env = _with_tasks(HalfCheetahMulti, [factors.tolist()])
    for name, factor in zip(HalfCheetahMulti.properties, factors):
        expected = factor * np.asarray(getattr(env._physics.model, name))
        np.testing.assert_allclose(getattr(env._models[0], name), expected, rtol=1e-6)


@pytest.mark.parametrize(("env_class", "numbers"), [(WalkerRandParams, 65), (HopperRandParams, 41)])
def test_random_parameters_scale_every_number_by_its_own_factor(env_class: type[MujocoEnv], numbers: int) -> None:
    assert env_class.meta_spec.task_dim == numbers
    task = torch.linspace(-3, 3, numbers)
    env = _with_tasks(env_class, [task.tolist()])
    model, original = env._models[0], env._physics.model
    assert original.opt.timestep == 0.004
    by_name = dict(zip(env.meta_spec.task_names, task.double().tolist()))
    for field, base in (("body_mass", 1.5), ("body_inertia", 1.5), ("dof_damping", 1.3), ("geom_friction", 1.5)):
        exponents = np.array([by_name[f"{field}_{i}"] for i in range(getattr(original, field).size)])
        expected = getattr(original, field).ravel() * base**exponents
        np.testing.assert_allclose(getattr(model, field).ravel(), expected, rtol=1e-6)


def test_a_new_task_holds_from_the_next_episode_of_its_sub_environment_on() -> None:
    env = _with_tasks(HalfCheetahMass, [[1.0], [1.0]])
    total = env._physics.model.body_mass.sum()
    env.set_tasks(torch.tensor([[2.0], [0.5]]))
    assert [model.body_mass.sum() / total for model in env._models] == pytest.approx([1.0, 1.0])
    env.reset(options={"reset_mask": [False, True]})
    assert [model.body_mass.sum() / total for model in env._models] == pytest.approx([1.0, 0.5])


def test_heavy_bodies_fall_and_light_ones_jump_apart() -> None:
    env = _with_tasks(HalfCheetahMass, [[0.5], [1.0], [2.0]])
    env._state[:] = env._state[0]
    for _ in range(20):
        observation, *_ = env.step(torch.ones(3, 6))
    assert len({tuple(row.tolist()) for row in observation}) == 3
