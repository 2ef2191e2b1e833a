"""The one place where an agent's actions get the units of an environment."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.errors import ContractError

ROUNDING = 1e-4
"""Share of the range by which an action may lie beyond its bounds before anybody is told that it is clipped."""


class ActionUnits:
    """Between an agent's actions and those of an action space.

    An agent's actions are normalized: each coordinate lies in [-1, 1], or the action is a vector with the largest
    entry at the choice (one-hot) where actions are discrete.

    Args:
        space: a bounded `Box` of one dimension, or a `Discrete` space.
        owner: whose it is, for messages.

    Raises:
        ContractError: if the space is another one.

    Attributes:
        discrete: whether an action is a choice.
        dim: numbers in a normalized action; with discrete actions, the number of choices.
        low: smallest entries of an action of `MetaEnv.step`, `[dim]`; -1 where actions are discrete.
        high: largest entries, `[dim]`; 1 where actions are discrete.
        start: the first choice's number.
    """

    def __init__(self, space: Any, owner: str) -> None:
        self.discrete = isinstance(space, gymnasium.spaces.Discrete)
        self.start = 0
        if isinstance(space, gymnasium.spaces.Discrete):
            self.dim, self.start = int(space.n), int(space.start)
            self.high = torch.ones(self.dim)
            self.low = -self.high
        else:
            self.low, self.high = (torch.from_numpy(bound.astype(np.float32)) for bound in _bounds(space, owner))
            self.dim = len(self.low)
        self._half_range = (self.high - self.low) / 2
        self._arrays = self.low.numpy(), self.high.numpy(), self._half_range.numpy()
        self._choices = np.arange(self.dim) + self.start

    def rescaled(self, actions: Tensor) -> Tensor:
        """Normalized `actions` `[..., dim]` as `MetaEnv.step` takes them: within the bounds, or still one-hot."""
        return self.low + (actions + 1.0) * self._half_range

    def own(self, actions: Tensor) -> tuple[Tensor, bool]:
        """Normalized `actions` `[n, dim]` as the space has them: `[n, dim]` within the bounds, or choices `[n]`.

        The flag is true if all of them are finite and, where they have bounds, in the agent's range, but for rounding.
        """
        normalized = actions.numpy()  # NumPy's operations take less time than torch's on a few numbers
        if self.discrete:
            return torch.from_numpy(normalized.argmax(-1) + self.start), math.isfinite(np.vdot(normalized, normalized))
        low, high, half_range = self._arrays
        unbounded = low + (normalized + 1.0) * half_range
        bounded = np.minimum(np.maximum(unbounded, low), high)
        return torch.from_numpy(bounded), np.count_nonzero(bounded == unbounded) == bounded.size

    def one_hot(self, choices: NDArray[Any], owner: str) -> NDArray[np.float32]:
        """Choices `[n]`, counted from the space's `start`, as vectors `[n, dim]`.

        Raises:
            ValueError: if one of them is none of the choices.
        """
        chosen = choices[:, None] == self._choices
        if np.count_nonzero(chosen) < len(choices):
            row = int((~chosen.any(-1)).argmax())
            last = self.start + self.dim - 1
            raise ValueError(
                f"{owner}, sub-environment {row}: action {choices[row].item()} is not one of the whole numbers "
                f"{self.start} to {last}."
            )
        one_hot: NDArray[np.float32] = chosen.astype(np.float32)
        return one_hot


def _bounds(space: Any, owner: str) -> tuple[Any, Any]:
    expected = "a Box of one dimension with finite bounds and floating-point actions, or a Discrete space"
    where = f"{owner}.single_action_space"
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise ContractError(where, str(space), expected)
    if not np.issubdtype(space.dtype, np.floating):
        raise ContractError(where, f"a Box of {space.dtype}", expected)
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        reason = "because an agent's actions in [-1, 1] are rescaled to the bounds"
        raise ContractError(where, f"bounds {space.low.tolist()} to {space.high.tolist()}", f"{expected}, {reason}")
    return space.low, space.high
