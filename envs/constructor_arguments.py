"""Objects that know what they were built from, so that an equal one can be built where only a file is left of them."""

from __future__ import annotations

from inspect import Parameter, signature
from typing import Any

from typing_extensions import Self


class RemembersArguments:
    """An object that remembers the arguments of its constructor.

    Attributes:
        constructor_arguments: what the constructor was given, by name; arguments left at their defaults are not there.
    """

    constructor_arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        instance = super().__new__(cls)
        vars(instance)["constructor_arguments"] = _by_name(cls, args, kwargs)
        return instance


def _by_name(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """All arguments by name. Where they do not fit, the constructor itself says so."""
    _, *parameters = signature(cls.__init__).parameters.values()  # type: ignore[misc]  # of this very class
    positional = [p.name for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    return {**dict(zip(positional, args)), **kwargs}
