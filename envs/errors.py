"""One way to say what is wrong with a user's input."""

from __future__ import annotations

import math
from collections.abc import Sequence


class ConfigurationError(ValueError):
    """A user's mistake, found before anything runs.

    Args:
        key: the configuration key (or argument) that is wrong.
        value: the value that was given.
        allowed: what would have been accepted.
        hint: what to do about it.
    """

    def __init__(self, key: str, value: object, allowed: str, hint: str) -> None:
        self.key = key
        super().__init__(f"{key} = {value!r} is not usable: {allowed}. {hint}")


class ContractError(ConfigurationError):
    """A mistake in a part of the user's own: it lacks something, or returns what its contract does not allow.

    Args:
        owner: the class, and where it is about one of its methods or attributes, that too, as `Thermostat.reward`.
        given: what it has or returned.
        expected: what the contract asks for.
    """

    def __init__(self, owner: str, given: str, expected: str) -> None:
        self.key = owner
        ValueError.__init__(self, f"{owner} gives {given}, expected {expected}.")


class NonFiniteError(ValueError):
    """A number that must be finite is not: something has diverged, and going on would spoil what was learned."""


class SimulationError(RuntimeError):
    """An environment of the user's raised an exception, or its process died; the message says where and why."""


def require(condition: bool, key: str, value: object, allowed: str, hint: str) -> None:
    """Raise a `ConfigurationError` unless `condition` holds."""
    if not condition:
        raise ConfigurationError(key, value, allowed, hint)


def require_positive(key: str, value: int) -> None:
    """Raise a `ConfigurationError` unless `value` is at least 1."""
    require(value >= 1, key, value, "it must be a whole number of at least 1", f"Set {key} to 1 or more.")


def require_positive_and_finite(key: str, value: float, hint: str) -> None:
    """Raise a `ConfigurationError` unless `value` is a number above 0, not infinite and not NaN."""
    require(value > 0.0 and math.isfinite(value), key, value, "it must be positive and finite", hint)


def require_finite(key: str, value: float, hint: str) -> None:
    """Raise a `ConfigurationError` if `value` is infinite or NaN."""
    require(math.isfinite(value), key, value, "it must be finite", hint)


def require_limit(key: str, value: float) -> None:
    """Raise a `ConfigurationError` unless `value` is a limit: a number above 0, infinite for none."""
    require(value > 0.0, key, value, "it must be above 0", "Use .inf for no limit.")


def require_widths(key: str, widths: Sequence[int], hint: str) -> None:
    """Raise a `ConfigurationError` unless `widths` are those of at least one layer, each of at least one unit."""
    require(
        len(widths) > 0 and min(widths) >= 1,
        key,
        widths,
        "it must list at least one layer, each with a width of at least 1",
        hint,
    )
