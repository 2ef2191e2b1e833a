"""Between Gymnasium's spaces and vectors."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs import ContractError
from envs.from_gymnasium.spaces import FlatActions, FlatObservations

IMAGE = spaces.Box(0, 255, (2, 3), np.uint8)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1.0, 1.0, (2, 3), np.float64),
        spaces.Discrete(4, start=2),
        spaces.MultiDiscrete([2, 3]),
        spaces.MultiBinary(3),
        spaces.Dict({"b": spaces.Box(-np.inf, np.inf, (2,)), "a": spaces.Discrete(3)}),
        spaces.Tuple((spaces.Discrete(2), spaces.Box(0, 1, (1, 2)))),
    ],
)
def test_observations_are_flattened_as_by_gymnasium(space: Any) -> None:
    space.seed(0)
    flat, observation = FlatObservations(space, "Mine"), space.sample()
    assert flat.dim == spaces.flatdim(space)
    np.testing.assert_array_equal(flat(observation), spaces.flatten(space, observation))


def test_bytes_are_scaled_to_one_alone_and_within_others() -> None:
    image = np.full((2, 3), 51, np.uint8)
    assert FlatObservations(IMAGE, "Mine")(image).tolist() == [0.2] * 6
    both = FlatObservations(spaces.Dict({"x": spaces.Box(-9, 9, (1,)), "image": IMAGE}), "Mine")
    assert both({"x": np.array([7.0]), "image": image}).tolist() == pytest.approx([7.0] + [0.2] * 6) or both(
        {"x": np.array([7.0]), "image": image}
    ).tolist() == pytest.approx([0.2] * 6 + [7.0])


def test_an_observation_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"an observation of shape \(2,\), but the space has shape \(3,\)"):
        FlatObservations(spaces.Box(-1, 1, (3,)), "Mine")(np.zeros(2))


def test_observations_without_a_fixed_size_are_refused_by_name() -> None:
    with pytest.raises(ContractError, match=r"Mine.observation_space gives Sequence\(.*expected a space of fixed size"):
        FlatObservations(spaces.Sequence(spaces.Discrete(2)), "Mine")


def test_actions_get_their_shape_kind_and_bounds_back() -> None:
    actions = FlatActions(spaces.Box(-0.1, 0.1, (2, 1), np.float64), "Mine")
    assert actions.single_action_space.shape == (2,)
    (decoded,) = actions.decode(actions.encode(torch.tensor([[0.1, -5.0]])))
    assert decoded.tolist() == [[0.1], [-0.1]]  # 0.1 as float32 lies beyond
    assert decoded.dtype == np.float64


def test_choices_count_from_their_start() -> None:
    actions = FlatActions(spaces.Discrete(3, start=-1), "Mine")
    assert actions.decode(actions.encode(torch.eye(3))).tolist() == [-1, 0, 1]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.MultiDiscrete([2, 3]), r"MultiDiscrete\(.*TransformAction"),
        (spaces.MultiBinary(2), "MultiBinary"),
        (spaces.Dict({"a": spaces.Discrete(2)}), "Dict"),
        (spaces.Box(-np.inf, 1.0, (1,)), "bounds .* expected finite ones .*RescaleAction"),
        (spaces.Box(0, 5, (1,), np.int64), "a Box of int64"),
    ],
)
def test_other_actions_are_refused_by_name(space: gymnasium.Space[Any], message: str) -> None:
    with pytest.raises(ContractError, match=f"Mine.action_space gives {message}"):
        FlatActions(space, "Mine")
