"""The physics engine: lazy, exact, and independent of how many threads share the work."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch

from envs import AntGoal, HalfCheetahMass, HalfCheetahVel, HumanoidMass, HumanoidVel
from envs.locomotion.mujoco_world import MujocoWorld

ENGINES = pytest.mark.parametrize("world_class", [HalfCheetahVel, HalfCheetahMass, AntGoal, HumanoidVel])

pytestmark = pytest.mark.filterwarnings("ignore:.*is clipped")  # some robots' bounds are narrower


@ENGINES
def test_threads_and_their_memory_wait_for_the_first_episode(world_class: type[MujocoWorld]) -> None:
    world = world_class(2)
    assert "_loop" not in world._physics.__dict__
    world.restart()
    world.advance(torch.zeros(2, world.world.action_dim))
    assert "_loop" in world._physics.__dict__


@ENGINES
def test_results_do_not_depend_on_the_number_of_threads(world_class: type[MujocoWorld]) -> None:
    worlds = [world_class(5, seed=1, threads=threads) for threads in (1, 2, 3)]
    for world in worlds:
        world.restart()
    for _ in range(8):
        actions = torch.rand(5, worlds[0].world.action_dim)
        first, *others = [world.advance(actions) for world in worlds]
        for other in others:
            assert torch.equal(first.observation, other.observation)
            assert torch.equal(first.features, other.features)


@ENGINES
def test_a_copy_does_not_depend_on_its_neighbours(world_class: type[MujocoWorld]) -> None:
    together, alone = world_class(4, seed=2), world_class(1, seed=2)
    together.restart()
    alone.set_tasks(together.tasks[2:3])
    alone.restart()
    alone._state[:], alone._readings[:] = together._state[2], together._readings[2]
    for _ in range(8):
        actions = torch.rand(4, together.world.action_dim)
        ours, own = together.advance(actions), alone.advance(actions[2:3])
        assert torch.equal(ours.observation[2], own.observation[0])


@ENGINES
def test_copies_that_act_while_others_wait_move_as_among_all(world_class: type[MujocoWorld]) -> None:
    some, everyone = world_class(4, seed=3), world_class(4, seed=3)
    some.restart()
    everyone.restart()
    active = torch.tensor([False, True, False, True])
    for _ in range(8):
        actions = torch.rand(4, some.world.action_dim)
        ours, theirs = some.advance(actions, active), everyone.advance(actions)
        assert torch.equal(ours.observation[active], theirs.observation[active])
        assert torch.equal(ours.features[active], theirs.features[active])


def test_a_copy_that_starts_alone_is_read_under_its_own_model() -> None:
    world = HumanoidMass(3, seed=5)
    world.restart()
    world.restart(torch.tensor([2]))
    assert np.array_equal(world._readings, world._physics.read(world._models.addresses, world._state))


def test_no_motor_works_at_a_start() -> None:
    world = HumanoidVel(2)
    world.restart()
    assert not world._readings[:, world._physics.field_slices["qfrc_actuator"]].any()


@ENGINES
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda world: pickle.loads(pickle.dumps(world))])
def test_a_duplicate_of_a_world_goes_on_alike_in_memory_of_its_own(
    world_class: type[MujocoWorld], duplicate: Callable[[MujocoWorld], MujocoWorld]
) -> None:
    world = world_class(3, seed=4)
    world.restart()
    world.advance(torch.zeros(3, world.world.action_dim))
    other, actions = duplicate(world), torch.full((3, world.world.action_dim), 0.3)
    assert not np.isin(other._models.addresses, world._models.addresses).any()
    expected = world.advance(actions)
    del world
    assert torch.equal(other.advance(actions).observation, expected.observation)


def test_the_time_of_a_state_moves_on_by_the_duration_of_an_action() -> None:
    world = HalfCheetahVel(2)
    world.restart()
    for _ in range(3):
        world.advance(torch.zeros(2, 6))
    np.testing.assert_allclose(world._state[:, 0], 0.15)
