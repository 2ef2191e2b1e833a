"""An agent's actions get the units of the environment in one place."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from torch import Tensor

from envs import ContractError, GridNavi, MetaEnv, PointRobot, register_environment
from envs.action_units import ActionUnits
from envs.torchrl_adapter import TorchRLEnv
from tests.environments import OffsetGrid


def test_coordinates_are_rescaled_to_the_bounds_and_not_beyond() -> None:
    units = ActionUnits(Box(np.array([-1.0, 2.0], np.float32), np.array([3.0, 2.5], np.float32)), "Room")
    actions = torch.tensor([[-1.0, 1.0], [0.0, -1.0], [5.0, 0.0]])
    assert torch.equal(units.own(actions)[0], torch.tensor([[-1.0, 2.5], [1.0, 2.0], [3.0, 2.25]]))
    assert torch.equal(units.rescaled(actions)[2], torch.tensor([11.0, 2.25]))


def test_choices_are_counted_from_the_start_of_their_space_both_ways() -> None:
    units = ActionUnits(Discrete(3, start=-1), "Room")
    choices, _ = units.own(torch.eye(3))
    assert choices.tolist() == [-1, 0, 1]
    assert np.array_equal(units.one_hot(choices.numpy(), "Room"), np.eye(3))


@pytest.mark.parametrize("choice", [-2, 2, 0.5])
def test_what_is_no_choice_is_refused(choice: float) -> None:
    with pytest.raises(ValueError, match="Room, sub-environment 1: action .* is not one of the whole numbers -1 to 1"):
        ActionUnits(Discrete(3, start=-1), "Room").one_hot(np.array([0, choice]), "Room")


@pytest.mark.parametrize(
    "space",
    [
        Box(-np.inf, np.inf, (2,)),
        Box(np.array([-1.0, -np.inf]), np.array([1.0, 1.0])),
        Box(0, 10, (2,), np.int64),
        Box(-1.0, 1.0, (2, 2)),
        Box(-1.0, 1.0, ()),
        Dict({"a": Discrete(2)}),
    ],
)
def test_an_action_space_without_such_units_is_refused_when_its_environment_is_made(space: Any) -> None:
    class Unbounded(PointRobot):
        single_action_space = space

    with pytest.raises(ContractError, match=r"Unbounded.single_action_space gives .*, expected a Box .* finite bounds"):
        Unbounded(1)


@pytest.mark.parametrize("steps", [(GridNavi, 0), (OffsetGrid, 10)])
def test_the_batch_takes_choices_in_its_own_numbers(steps: tuple[type[MetaEnv], int]) -> None:
    kind, start = steps
    env, other = kind(5, seed=1), GridNavi(5, seed=1)
    for each in (env, other):
        each.reset()
    expected, *_ = other.step(torch.eye(5))
    observation, *_ = env.step(torch.arange(5) + start)
    assert torch.equal(observation, expected)
    assert env.action_space.contains(np.arange(5) + start)
    with pytest.raises(ValueError, match=f"action {start + 5} is not one of the whole numbers {start} to {start + 4}"):
        env.step(torch.arange(1, 6) + start)


def test_a_single_environment_takes_every_choice_of_its_space_and_torchrl_the_same_ones() -> None:
    class SingleOffsetGrid(OffsetGrid):
        meta_spec = OffsetGrid.meta_spec.__class__(**{**OffsetGrid.meta_spec.__dict__, "name": "SingleOffsetGrid"})

    register_environment(SingleOffsetGrid)
    for choice in range(5):
        env = gymnasium.make("lit_metarl/SingleOffsetGrid-v0", task=[4.0, 4.0])
        env.reset(seed=0)
        assert env.action_space.contains(choice + 10)
        observation, *_ = env.step(choice + 10)
        adapter = TorchRLEnv(SingleOffsetGrid(1))
        begun = adapter.reset().set("action", torch.eye(5)[choice][None])
        assert np.array_equal(adapter.step(begun)["next", "observation"][0].numpy(), observation)


def test_an_agents_own_action_is_told_of_once_where_it_is_clipped() -> None:
    env = PointRobot(2)
    env.reset()
    actions: Tensor = torch.tensor([[0.1, -0.1], [0.05, 1.0]])
    with pytest.warns(
        UserWarning, match="sub-environment 1: coordinate 1 .* is 1 and is clipped to -0.1 to 0.1.*RunningTrial"
    ):
        env.step(actions)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.step(actions)


@pytest.mark.filterwarnings("error")
def test_the_bounds_themselves_are_no_reason_to_warn() -> None:
    env = PointRobot(2)
    env.reset()
    env.step(env.action_units.rescaled(torch.tensor([[1.0, -1.0], [0.3, 1.0]])))
