"""One way to say what is wrong with a user's input."""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, get_args


class ConfigurationError(ValueError):
    """A user's mistake, found before anything runs.

    Args:
        key: the argument that is wrong, as its class calls it; of an argument's argument, joined by a dot.
        value: the value that was given.
        allowed: what would have been accepted.
        hint: what to do about it.
        of: whose argument it is, an object or a class; None if it is no class's.

    Attributes:
        owner: the class whose argument it is; None if it is no class's.
    """

    owner: type | None = None
    _reason: tuple[object, str, str] | None = None

    def __init__(self, key: str, value: object, allowed: str, hint: str, of: object = None) -> None:
        self.key = key
        self.owner = of if of is None or isinstance(of, type) else type(of)
        self._reason = value, allowed, hint
        owner = "" if self.owner is None else f"{self.owner.__name__}: "
        super().__init__(f"{owner}{key} = {value!r} is not usable: {allowed}. {hint}")

    def of(self, owner: object) -> ConfigurationError:
        """The same mistake, about an argument of `owner` if it is no other class's."""
        return self if self._reason is None or self.owner else ConfigurationError(self.key, *self._reason, owner)

    def within(self, section: str) -> ConfigurationError:
        """The same mistake, its key written as in a configuration, whose `section` holds the owner's arguments."""
        assert self._reason is not None
        return ConfigurationError(f"{section}.{self.key}", *self._reason)


@contextmanager
def arguments_of(owner: object) -> Iterator[None]:
    """Mistakes found inside that are no class's are about arguments of `owner`."""
    try:
        yield
    except ConfigurationError as error:
        raise error.of(owner) from error.__cause__


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
    """An environment raised an exception, or its process died; the message says where and why."""


def in_brief(error: Exception) -> str:
    """The kind of a raised exception, its message, and the file and line that raised it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})"


def require(condition: bool, key: str, value: object, allowed: str, hint: str, of: object = None) -> None:
    """Raise a `ConfigurationError` unless `condition` holds."""
    if not condition:
        raise ConfigurationError(key, value, allowed, hint, of)


def require_instance(key: str, value: object, kind: type, of: object = None) -> None:
    """Raise a `ConfigurationError` unless `value` is a `kind`; a class in place of its object is named as such."""
    hint = "Give such an object."
    if isinstance(value, type) and issubclass(value, kind):
        hint = f"Call the class: {value.__name__}(…)."
    require(isinstance(value, kind), key, value, f"it must be an object of the class {kind.__name__}", hint, of)


def require_positive(key: str, value: int, of: object = None) -> None:
    """Raise a `ConfigurationError` unless `value` is at least 1."""
    whole = isinstance(value, Integral)
    require(whole and value >= 1, key, value, "it must be a whole number of at least 1", "Set it to 1 or more.", of)


def require_positive_and_finite(key: str, value: float, hint: str, of: object = None) -> None:
    """Raise a `ConfigurationError` unless `value` is a number above 0, not infinite and not NaN."""
    right = isinstance(value, Real) and value > 0.0 and math.isfinite(value)
    require(right, key, value, "it must be positive and finite", hint, of)


def require_finite(key: str, value: float, hint: str, of: object = None) -> None:
    """Raise a `ConfigurationError` if `value` is infinite or NaN."""
    require(isinstance(value, Real) and math.isfinite(value), key, value, "it must be a finite number", hint, of)


def require_weight(key: str, value: float, hint: str, of: object = None) -> None:
    """Raise a `ConfigurationError` unless `value` is a weight of a sum: 0 or more, and finite."""
    right = isinstance(value, Real) and 0.0 <= value < math.inf
    require(right, key, value, "it must be finite and not negative", hint, of)


def require_writable(key: str, folder: Path, of: object = None) -> None:
    """Raise a `ConfigurationError` unless files can be made in `folder`, which may not exist yet."""
    try:
        existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        with TemporaryFile(dir=existing):
            pass
    except OSError as error:
        reason = f"the folder cannot be written ({error.strerror})"
        raise ConfigurationError(key, str(folder), reason, "Give a folder that you may write to.", of) from error


def require_choice(key: str, value: object, choices: Any, of: object = None) -> None:
    """Raise a `ConfigurationError` unless `value` is one of `choices`, a `Literal` type."""
    known = get_args(choices)
    require(value in known, key, value, f"it must be {' or '.join(known)}", "Correct it.", of)


def require_limit(key: str, value: float, of: object = None) -> None:
    """Raise a `ConfigurationError` unless `value` is a limit: a number above 0, infinite for none."""
    right = isinstance(value, Real) and value > 0.0
    require(right, key, value, "it must be a number above 0", "Use .inf for no limit.", of)


def require_widths(key: str, widths: Sequence[int], hint: str, of: object = None) -> None:
    """Raise a `ConfigurationError` unless `widths` are those of at least one layer, each of at least one unit."""
    reason = "it must list at least one layer, each with a width of at least 1"
    right = isinstance(widths, Sequence) and len(widths) > 0 and all(isinstance(w, Integral) and w >= 1 for w in widths)
    require(right, key, widths, reason, hint, of)
