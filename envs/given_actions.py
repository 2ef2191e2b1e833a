"""The actions that `MetaEnv.step` is given: checked, and clipped to the bounds."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.action_units import ROUNDING, ActionUnits
from envs.errors import NonFiniteError

Actions = NDArray[np.float32]
EnvIds = NDArray[np.int64]


class GivenActions:
    """Checks the actions of a batch of sub-environments.

    Args:
        units: of the environment's actions.
        name: the environment's, for messages.
        num_envs: number of its sub-environments.
    """

    def __init__(self, units: ActionUnits, name: str, num_envs: int) -> None:
        self._units, self._name, self._num_envs = units, name, num_envs
        self._shape = (num_envs, units.dim)
        if units.discrete:  # only the order of the entries counts
            self._highest: Actions = np.full(units.dim, np.finfo(np.float32).max, np.float32)
            self._lowest = -self._highest
        else:
            self._lowest, self._highest = units.low.numpy(), units.high.numpy()
        self._within_all_bounds = float(self._lowest.max()), float(self._highest.min())
        self._tolerance = ROUNDING * (units.high - units.low).numpy()
        self._has_warned_of_clipping = False

    def within_bounds(self, actions: Any, env_ids: EnvIds) -> Actions:
        """The actions of the sub-environments `env_ids`, within the bounds, `[len(env_ids), action_dim]`.

        Args:
            actions: of all sub-environments, as `MetaEnv.step` takes them.
            env_ids: those whose episodes are running.
        """
        name, everyone = self._name, len(env_ids) == self._num_envs
        given: NDArray[Any] = (actions if isinstance(actions, Tensor) else torch.as_tensor(actions)).numpy(force=True)
        if given.ndim == 1 and self._units.discrete and len(given) == self._num_envs:
            if not everyone:  # the others' choices may be any
                chosen_by_some = np.full_like(given, self._units.start)
                chosen_by_some[env_ids] = given[env_ids]
                given = chosen_by_some
            given = self._units.one_hot(given, name)
        if given.shape != self._shape:
            raise ValueError(f"{name}: actions have shape {given.shape}, expected {self._shape}.")
        if not len(env_ids):
            raise RuntimeError(f"{name}: every episode has ended or never started; reset the environment first.")
        chosen = np.asarray(given, np.float32)
        if not everyone:
            chosen = chosen[env_ids]
        low, high = self._within_all_bounds
        if low <= chosen.min() and chosen.max() <= high:  # the usual case; NaN is not
            return chosen.copy()
        bounded: Actions = np.minimum(np.maximum(chosen, self._lowest), self._highest)
        if np.count_nonzero(bounded == chosen) < chosen.size:
            self._check_clipped(chosen, bounded, env_ids)
        return bounded

    def _check_clipped(self, chosen: Actions, bounded: Actions, env_ids: EnvIds) -> None:
        """Refuse `chosen` actions that are not finite; warn, once, of those beyond the bounds."""
        finite = np.isfinite(chosen)
        if not finite.all():
            row = int((~finite).any(-1).argmax())
            raise NonFiniteError(
                f"{self._name}, sub-environment {env_ids[row]}: action {chosen[row].tolist()} is not finite."
            )
        beyond = np.abs(chosen - bounded)
        if not self._has_warned_of_clipping and (beyond > self._tolerance).any():
            self._warn_of_clipping(chosen, beyond, env_ids)

    def _warn_of_clipping(self, actions: Actions, beyond: Actions, env_ids: EnvIds) -> None:
        """Warn, once, of actions that lie `beyond` the bounds: usually they are an agent's own, in [-1, 1]."""
        self._has_warned_of_clipping = True
        row, coordinate = divmod(int(beyond.argmax()), actions.shape[1])
        low, high = float(self._lowest[coordinate]), float(self._highest[coordinate])
        warnings.warn(
            f"{self._name}, sub-environment {env_ids[row]}: coordinate {coordinate} of the action is "
            f"{float(actions[row, coordinate]):.4g} and is clipped to {low:.4g} to {high:.4g}. An agent's actions lie "
            "in [-1, 1]: act through datamodules.collection.RunningTrial, or convert them with "
            "env.action_units.rescaled. Later actions are clipped without another warning.",
            stacklevel=5,
        )
