"""Between Gymnasium's spaces and the flat vectors of a `MetaEnv`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from envs.errors import ContractError

Numbers = NDArray[np.float64]
Space = gymnasium.Space[Any]


class FlatObservations:
    """Observations of a space as vectors.

    A `Box` of any shape is flattened; other spaces are flattened as by Gymnasium's `FlattenObservation`, so that
    `Dict` and `Tuple` are concatenated and choices are one-hot. Bytes (uint8) are divided by 255.

    Args:
        space: of the observations.
        owner: whose it is, for messages.

    Raises:
        ContractError: if observations of that space have no fixed size.

    Attributes:
        dim: numbers of a vector.
        unchanged: shape of the observations that are vectors as they are; None if they never are.
    """

    def __init__(self, space: Space, owner: str) -> None:
        if not space.is_np_flattenable:
            expected = "a space of fixed size: Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of them"
            raise ContractError(f"{owner}.observation_space", str(space), expected)
        self._space = space
        self._shape = space.shape if isinstance(space, spaces.Box) else None
        self.dim = spaces.flatdim(space)
        scales = _scales(space)
        self._scales = None if bool((scales == 1.0).all()) else scales
        self.unchanged = (self.dim,) if self._shape == (self.dim,) and self._scales is None else None

    def __call__(self, observation: Any) -> Numbers:
        """An observation as a vector `[dim]`, which may share its memory.

        Raises:
            ValueError: if it is not one of the space's shape.
        """
        if self._shape is None:
            vector: NDArray[Any] = np.asarray(spaces.flatten(self._space, observation))
        else:
            array = np.asarray(observation)
            if array.shape != self._shape:
                raise ValueError(f"an observation of shape {array.shape}, but the space has shape {self._shape}")
            vector = array.reshape(-1)
        if len(vector) != self.dim:
            raise ValueError(f"an observation of {len(vector)} numbers, but the space has {self.dim}")
        return vector if self._scales is None else vector * self._scales


def _scales(space: Space) -> Numbers:
    """Factor of every number of a flattened observation, `[dim]`."""
    if isinstance(space, spaces.Dict):
        return np.concatenate([_scales(part) for part in space.values()])
    if isinstance(space, spaces.Tuple):
        return np.concatenate([_scales(part) for part in space])
    is_bytes = isinstance(space, spaces.Box) and space.dtype == np.uint8
    return np.full(spaces.flatdim(space), 1.0 / 255.0 if is_bytes else 1.0)


class FlatActions:
    """Actions of a space as vectors.

    Args:
        space: of the actions: a bounded `Box` of any shape, or `Discrete`.
        owner: whose it is, for messages.

    Raises:
        ContractError: if it is another one.

    Attributes:
        single_action_space: a `MetaEnv`'s: a `Box` of one dimension, or the `Discrete` space.
        dim: numbers of an agent's action; with discrete actions, the number of choices.
        width: numbers of an encoded action: those of the `Box`, or 1 for a choice.
    """

    def __init__(self, space: Space, owner: str) -> None:
        self._space: Any = space
        self.discrete = isinstance(space, spaces.Discrete)
        if isinstance(space, spaces.Discrete):
            self.single_action_space: Any = space
            self.dim, self.width = int(space.n), 1
            return
        low, high = _bounds(space, owner)
        self._low, self._high = low, high
        box = spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)
        # Bounds that are no float32 numbers may be exceeded by a rounding error.
        self._rounded = bool((box.low != low).any() or (box.high != high).any())
        self.single_action_space = box
        self.dim = self.width = len(low)

    def encode(self, actions: Tensor) -> NDArray[Any]:
        """Actions of `MetaEnv._simulate`, within the bounds, `[n, dim]` as numbers `[n, width]`."""
        if self.discrete:
            return actions.argmax(-1, keepdim=True).numpy() + float(self._space.start)
        bounded = actions.numpy()
        return np.minimum(np.maximum(bounded, self._low), self._high) if self._rounded else bounded

    def decode(self, numbers: Numbers) -> NDArray[Any]:
        """Encoded actions `[n, width]` as the space has them, `[n, ...]`."""
        return numbers.astype(self._space.dtype).reshape(len(numbers), *self._space.shape)


def _bounds(space: Space, owner: str) -> tuple[Numbers, Numbers]:
    """Flat bounds of a `Box` of actions."""
    where, expected = f"{owner}.action_space", "a bounded Box of floating-point numbers, or a Discrete space"
    if not isinstance(space, spaces.Box):
        hint = " (gymnasium.wrappers.TransformAction makes one choice of several)"
        raise ContractError(where, str(space), expected + (hint if isinstance(space, spaces.MultiDiscrete) else ""))
    if not np.issubdtype(space.dtype, np.floating):
        raise ContractError(where, f"a Box of {space.dtype}", expected)
    low, high = (bound.astype(np.float64).reshape(-1) for bound in (space.low, space.high))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        hint = " (gymnasium.wrappers.RescaleAction and ClipAction give bounds)"
        raise ContractError(where, f"bounds {low.tolist()} to {high.tolist()}", f"finite ones{hint}")
    return low, high
