"""What a run's algorithm and environment were built from, as primitives, so that a checkpoint is enough to build them.

A run from the command line also saves its whole configuration (`ExactResume`); one from Python has none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from typing import Any

from envs.constructor_arguments import RemembersArguments

MADE_OF = "made_of"


def description(part: RemembersArguments, left_out: Iterable[str] = ()) -> dict[str, Any]:
    """A part's class and the arguments that it was built with, as in a configuration file.

    Args:
        part: an environment, an algorithm or a task distribution.
        left_out: arguments that whoever builds it again gives.

    Returns:
        `class_path` and `init_args`, and `unknown`: names of arguments that are more than numbers, texts and settings,
        which a checkpoint cannot hold.
    """
    kind = type(part)
    given = {name: value for name, value in part.constructor_arguments.items() if name not in left_out}
    known, unknown = {}, []
    for name, value in given.items():
        try:
            known[name] = _primitive(value)
        except TypeError:
            unknown.append(name)
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": known, "unknown": unknown}


def _primitive(value: Any) -> Any:
    """`value` as primitives; a `TypeError` where that is impossible."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, RemembersArguments):
        part = description(value)
        if part.pop("unknown"):
            raise TypeError(type(value).__name__)
        return part
    if is_dataclass(value) and not isinstance(value, type):
        return _primitive(asdict(value))
    if isinstance(value, dict):
        return {str(key): _primitive(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_primitive(member) for member in value]
    raise TypeError(type(value).__name__)
