"""Where a configuration holds the arguments of a class, for messages of classes that do not know."""

from __future__ import annotations

from collections.abc import Iterator
from pkgutil import resolve_name
from typing import Any, get_args, get_type_hints

from pytorch_lightning import Trainer

from datamodules import RolloutDataModule
from envs.errors import ConfigurationError
from lit_metarl.callbacks import TensorBoardFigures

SECTIONS = {"data": RolloutDataModule, "trainer": Trainer, "figures": TensorBoardFigures}
"""Classes whose arguments stand right under a key."""


def placed(error: ConfigurationError, configuration: dict[str, Any]) -> ConfigurationError:
    """A class's mistake, with the key of the argument; unchanged if the configuration has no arguments of the class.

    Args:
        error: the mistake.
        configuration: of the run, as primitives.
    """
    for name, value in configuration.items():
        for owner, section in _sections(value, name, SECTIONS.get(name)):
            if owner is error.owner:
                return error.within(section)
    return error


def _sections(value: Any, key: str, kind: type | None) -> Iterator[tuple[type, str]]:
    """The classes with arguments in a part of a configuration, each with the key that they stand under.

    Args:
        value: the part.
        key: its key.
        kind: the class whose arguments it holds, if it names none itself.
    """
    if isinstance(value, list):
        for member in value:
            yield from _sections(member, key, None)
    if not isinstance(value, dict):
        return
    if "class_path" in value:
        kind, key, value = resolve_name(value["class_path"]), f"{key}.init_args", value.get("init_args") or {}
    if not isinstance(kind, type):
        return
    yield kind, key
    kinds = _kinds_of_settings(kind)
    for name, argument in value.items():
        yield from _sections(argument, f"{key}.{name}", kinds.get(name))


def _kinds_of_settings(owner: type) -> dict[str, type]:
    """The classes of the arguments of a class, by name; those of its bases included."""
    kinds: dict[str, type] = {}
    for base in owner.__mro__:
        hints = get_type_hints(vars(base)["__init__"]) if base is not object and "__init__" in vars(base) else {}
        for name, hint in hints.items():
            classes = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type)]
            if classes:
                kinds.setdefault(name, classes[0])
    return kinds
