"""What was typed: the arguments of a command, apart from the contents of configuration files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from envs.errors import require

CONFIG = ("--config", "-c")
YAML_FILES = (".yaml", ".yml", ".json")
CALLBACKS = "trainer.callbacks"


@dataclass(frozen=True)
class Typed:
    """A key that was given on the command line.

    Attributes:
        key: without dashes; without the plus of one that appends to a list.
        value: as it was typed.
        appends: whether it appends to a list.
    """

    key: str
    value: str
    appends: bool

    @property
    def loaded(self) -> Any:
        """The value read as YAML; as it was typed if it is none."""
        with suppress(yaml.YAMLError, ValueError):  # the latter of dates that cannot be
            return yaml.safe_load(self.value)
        return self.value


def typed(arguments: Sequence[str]) -> list[Typed]:
    """The keys among `arguments`, in order, without configuration files."""
    found = []
    for argument, after in zip(arguments, [*arguments[1:], ""]):
        option, joined, value = argument.partition("=")
        if option.startswith("--") and option not in CONFIG:
            key = option[2:].removesuffix("+")
            found.append(Typed(key, value if joined else after, option.endswith("+")))
    return found


def files_first(arguments: Sequence[str], subcommands: Sequence[str]) -> list[str]:
    """The arguments with a subcommand's files before the rest of it, each kind in its own order.

    Configurations come first, then files of a single section (`--trainer FILE`), then values. So what is typed
    overrides what files hold, wherever it stands.

    Args:
        arguments: of the program.
        subcommands: their names.

    Raises:
        ConfigurationError: if a configuration stands before the subcommand.
    """
    begin = next((index for index, argument in enumerate(arguments) if argument in subcommands), None)
    if begin is None:
        return list(arguments)
    for index, argument in enumerate(arguments[:begin]):
        option, joined, joined_value = argument.partition("=")
        given = joined_value if joined else arguments[index + 1]
        hint = f"Give it after the subcommand: {arguments[begin]} --config {given}"
        require(option not in CONFIG, "config", given, "a configuration belongs to a subcommand", hint)
    files: list[str] = []
    sections: list[str] = []
    rest: list[str] = []
    after = iter(arguments[begin + 1 :])
    for argument in after:
        if argument == "--":
            rest += [argument, *after]
        elif argument in CONFIG:
            value = next(after, None)
            part = [argument] if value is None else [argument, value]
            (rest if value is None or value.startswith("--") else files).extend(part)
        elif argument.startswith("--config=") or (argument.startswith("-c") and not argument.startswith("--")):
            files.append(argument)
        elif argument.startswith("--") and argument.endswith(YAML_FILES) and "=" in argument:
            sections.append(argument)
        elif argument.endswith(YAML_FILES) and rest and rest[-1].startswith("--") and "=" not in rest[-1]:
            sections += [rest.pop(), argument]
        else:
            rest.append(argument)
    return [*arguments[: begin + 1], *files, *sections, *rest]


def warn_of_overridden(arguments: Sequence[Typed]) -> Iterator[str]:
    """Warnings about keys that were typed twice with different values."""
    last: dict[str, str] = {}
    for given in arguments:
        if given.appends or given.key.startswith(CALLBACKS):  # each may belong to another callback
            continue
        key = given.key.replace("init_args.", "")  # which may be left out
        if last.get(key, given.value) != given.value:
            yield f"--{given.key} was given twice: {given.value} counts, {last[key]} does not."
        last[key] = given.value


def warn_of_environment(subcommands: Iterable[str]) -> Iterator[str]:
    """Warnings about environment variables that Lightning documents but that are not read here."""
    beginnings = ("PL_TRAINER_", "PL_CONFIG", *(f"PL_{name.upper()}__" for name in subcommands))
    for name in sorted(os.environ):
        if name.startswith(beginnings):
            yield f"the environment variable {name} is not read. Give its value on the command line."


def expanded(value: Any, folder: Path) -> Any:
    """A value of a configuration with the contents of the files that stand in it in the place of settings.

    Args:
        value: as primitives.
        folder: what the paths of files are relative to.
    """
    if isinstance(value, dict):
        return {name: expanded(content, folder) for name, content in value.items()}
    if isinstance(value, str) and value.endswith(YAML_FILES):
        with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
            path = folder / value
            content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
            return expanded(content, path.parent) if isinstance(content, dict) else value
    return value


def class_named(value: Any) -> str | None:
    """The class that a value of a configuration chooses, a name or a mapping with a `class_path`, if it does."""
    if isinstance(value, dict):
        value = value.get("class_path")
    is_name = isinstance(value, str) and all(part.isidentifier() for part in value.split("."))
    return value if is_name else None
