"""Which way a metric improves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from envs.errors import ConfigurationError

Mode = Literal["min", "max"]

GROWS = re.compile(r"(return|cvar|success|metaworld_return|metaworld_success)(_|$)")
FALLS = re.compile(r"(.*_)?(loss|error)$|belief_(reward|state|task)$|diverged_episodes$|line_search_failed$")
"""The reconstruction terms of a belief (`belief_reward`, …) are those of the negative evidence lower bound."""


def better_mode(metric: str) -> Mode | None:
    """The mode of a callback that watches `metric`, such as `val/return` or `train/critic_loss`.

    Returns:
        `max` for returns, their CVaR and success rates; `min` for losses, errors and failures; None for a metric
        that is neither better high nor low (an entropy, a KL divergence, a counter), or that is not this project's.
    """
    name = metric.rpartition("/")[2]
    if GROWS.match(name):
        return "max"
    return "min" if FALLS.match(name) else None


def against_nature(monitor: object, mode: object) -> bool:
    """Whether a callback with this `monitor` and `mode` would treat an improvement as the opposite."""
    better = better_mode(monitor) if isinstance(monitor, str) else None
    return better is not None and mode in ("min", "max") and mode != better


def wrong_mode(key: str, monitor: str, mode: str) -> ConfigurationError:
    """The mistake of watching `monitor` with `mode` under the configuration key `key`."""
    better = better_mode(monitor)
    hint = f"Set it to {better}." if key.startswith(("checkpoint", "trainer")) else f"Give mode={better!r}."
    return ConfigurationError(key, mode, f"{monitor} is better {'high' if better == 'max' else 'low'}", hint)


def check_modes(callbacks: Iterable[object]) -> None:
    """Raise a `ConfigurationError` if a callback would treat an improvement of the metric it monitors as the opposite.

    Args:
        callbacks: of a trainer. Those with a `monitor` and a `mode` are checked, such as Lightning's `EarlyStopping`
            and `ModelCheckpoint`, whose default is `min`.
    """
    for callback in callbacks:
        monitor, mode = (getattr(callback, name, None) for name in ("monitor", "mode"))
        if against_nature(monitor, mode):
            raise wrong_mode(f"{type(callback).__name__}.mode", str(monitor), str(mode))
