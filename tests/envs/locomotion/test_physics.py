"""The physics engine: lazy, exact, and independent of how many threads share the work."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch

from envs import AntGoal, ConfigurationError, HalfCheetahMass, HalfCheetahVel, HumanoidMass, HumanoidVel
from envs.locomotion.mujoco_env import MujocoEnv

ENGINES = pytest.mark.parametrize("env_class", [HalfCheetahVel, HalfCheetahMass, AntGoal, HumanoidVel])

pytestmark = pytest.mark.filterwarnings("ignore:.*is clipped")  # some robots' bounds are narrower


@ENGINES
def test_threads_and_their_memory_wait_for_the_first_episode(env_class: type[MujocoEnv]) -> None:
    env = env_class(2)
    assert "_loop" not in env._physics.__dict__
    env.reset()
    env.step(torch.zeros(2, env.meta_spec.action_dim))
    assert "_loop" in env._physics.__dict__


def test_there_are_no_more_threads_than_sub_environments() -> None:
    env = HalfCheetahVel(1, threads=4)
    env.reset()
    assert env._physics._loop._queues == []  # of helpers


@ENGINES
def test_results_do_not_depend_on_the_number_of_threads(env_class: type[MujocoEnv]) -> None:
    environments = [env_class(5, seed=1, threads=threads) for threads in (1, 2, 3)]
    for env in environments:
        env.reset()
    for _ in range(8):
        actions = torch.rand(5, environments[0].meta_spec.action_dim)
        first, *others = [env.step(actions) for env in environments]
        for other in others:
            assert torch.equal(first[0], other[0])
            assert torch.equal(first[4]["features"], other[4]["features"])


@ENGINES
def test_a_sub_environment_does_not_depend_on_its_neighbors(env_class: type[MujocoEnv]) -> None:
    together, alone = env_class(4, seed=2), env_class(1, seed=2)
    together.reset()
    alone.set_tasks(together.tasks[2:3])
    alone.reset()
    alone._state[:], alone._readings[:] = together._state[2], together._readings[2]
    for _ in range(8):
        actions = torch.rand(4, together.meta_spec.action_dim)
        ours, own = together.step(actions), alone.step(actions[2:3])
        assert torch.equal(ours[0][2], own[0][0])


@ENGINES
def test_sub_environments_that_act_while_others_wait_move_as_among_all(env_class: type[MujocoEnv]) -> None:
    some, everyone = env_class(4, seed=3), env_class(4, seed=3)
    some.reset()
    everyone.reset()
    active = torch.tensor([False, True, False, True])
    some._running[:] = active.numpy()
    for _ in range(8):
        actions = torch.rand(4, some.meta_spec.action_dim)
        ours, theirs = some.step(actions), everyone.step(actions)
        assert torch.equal(ours[0][active], theirs[0][active])
        assert torch.equal(ours[4]["features"][active], theirs[4]["features"][active])


def test_a_sub_environment_that_starts_alone_is_read_under_its_own_model() -> None:
    env = HumanoidMass(3, seed=5)
    env.reset()
    env.reset(options={"reset_mask": [False, False, True]})
    assert np.array_equal(env._readings, env._physics.read(env._models.addresses, env._state))


def test_no_motor_works_at_a_start() -> None:
    env = HumanoidVel(2)
    env.reset()
    assert not env._readings[:, env._physics.field_slices["qfrc_actuator"]].any()


@ENGINES
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_duplicate_of_an_environment_goes_on_alike_in_memory_of_its_own(
    env_class: type[MujocoEnv], duplicate: Callable[[MujocoEnv], MujocoEnv]
) -> None:
    env = env_class(3, seed=4)
    env.reset()
    env.step(torch.zeros(3, env.meta_spec.action_dim))
    other, actions = duplicate(env), torch.full((3, env.meta_spec.action_dim), 0.3)
    assert not np.isin(other._models.addresses, env._models.addresses).any()
    expected, *_ = env.step(actions)
    del env
    assert torch.equal(other.step(actions)[0], expected)


def test_the_time_of_a_state_moves_on_by_the_duration_of_an_action() -> None:
    env = HalfCheetahVel(2)
    env.reset()
    for _ in range(3):
        env.step(torch.zeros(2, 6))
    np.testing.assert_allclose(env._state[:, 0], 0.15)


@pytest.mark.parametrize("threads", [-1, 0])
def test_a_number_of_threads_that_is_none_is_refused(threads: int) -> None:
    with pytest.raises(ConfigurationError, match=f"threads = {threads} .* at least 1"):
        HalfCheetahVel(2, threads=threads)
