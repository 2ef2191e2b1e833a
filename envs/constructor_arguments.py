"""Objects that know what they were built from, so that an equal one can be built where only a file is left of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass
from functools import cache
from inspect import Parameter, signature
from typing import Any

from typing_extensions import Self

from envs.errors import require_instance


class RemembersArguments:
    """An object that remembers the arguments of its constructor.

    Attributes:
        constructor_arguments: what the constructor was given, by name; arguments left at their defaults are not there.
    """

    constructor_arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        instance, given = super().__new__(cls), _by_name(cls, args, kwargs)
        _require_settings(cls, given)
        vars(instance)["constructor_arguments"] = given
        return instance


def _require_settings(owner: type, given: dict[str, Any]) -> None:
    """Raise a `ConfigurationError` if one of the arguments `given` to `owner` should be settings and is something else.

    Args:
        owner: a class, each of whose ancestors passes on the arguments that it does not know.
        given: arguments of its constructor, by name.
    """
    for ancestor in owner.__mro__:
        for parameter in _parameters(ancestor.__init__):  # type: ignore[misc]  # of this class
            if parameter.name in given and is_dataclass(parameter.default):
                require_instance(parameter.name, given[parameter.name], type(parameter.default), of=owner)


def _by_name(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """All arguments by name. Where they do not fit, the constructor itself says so."""
    _, *parameters = _parameters(cls.__init__)  # type: ignore[misc]  # of this very class
    positional = [p.name for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    return {**dict(zip(positional, args)), **kwargs}


@cache  # distributions are made anew in every iteration, and a signature takes longer than they do
def _parameters(constructor: Callable[..., None]) -> tuple[Parameter, ...]:
    return tuple(signature(constructor).parameters.values())
