"""Configuration files as a user wrote them: YAML mistakes, and the line of each key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from envs.errors import ConfigurationError, require
from lit_metarl.command_line.presets import no_such_file

SPECIFICATION = {"class_path", "init_args", "dict_kwargs"}
EXAMPLE = "--config configs/quickstart.yaml, for example."
HINT = "Correct the file."
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Entry:
    """A key of a configuration file.

    Attributes:
        key: with the keys above it, `model.init_args.layers`.
        line: its line, from 1.
        text: its value if that is a single one; None for a list or a mapping.
    """

    key: str
    line: int
    text: str | None


@dataclass(frozen=True)
class ConfigurationFile:
    """A configuration file, or YAML that was given instead of one.

    Attributes:
        name: its path as it was given.
        content: what it holds, as primitives.
        entries: all of its keys, those within lists included.
    """

    name: str
    content: dict[str, Any]
    entries: list[Entry]

    def where(self, line: int | None = None) -> str:
        """A place in the file, for a message."""
        return f"in {self.name}" if line is None else f"in {self.name}, line {line}"


def read_configuration(given: str) -> ConfigurationFile | None:
    """Read the value of a `--config`; None if it is an address, which jsonargparse reads.

    Raises:
        ConfigurationError: if there is no such file, or it is not a YAML mapping with every key once, or what
            belongs under `init_args` is next to a `class_path`.
    """
    if "://" in given:
        return None
    text = _text_of(given)
    name = "the text given" if text == given else given
    try:
        loader = LOADER(text)
        root = loader.get_single_node()
        entries = [] if root is None else list(_entries(root, name))
        content = None if root is None else loader.construct_document(root)
    except (yaml.YAMLError, ValueError) as error:  # the latter of dates that cannot be
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
        where = "" if mark is None else f" in line {mark.line + 1}"
        line = "" if mark is None else "".join(text.splitlines()[mark.line : mark.line + 1])
        tab = " (a tab: YAML is indented with spaces)" if "\t" in line else ""
        raise ConfigurationError("config", given, f"it cannot be read as YAML{where}: {problem}{tab}", HINT) from error
    if content is None:
        raise ConfigurationError("config", given, "it is empty", "Give it settings, or leave it out.")
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else "text"
        hint = "A configuration is made of keys with values, as in configs/quickstart.yaml."
        raise ConfigurationError("config", given, f"it holds {kind}", hint)
    file = ConfigurationFile(name, content, entries)
    _check_specifications(content, "", file)
    return file


def _text_of(given: str) -> str:
    """The YAML of a file, or what was given itself, if that is a mapping and not a path."""
    if "\n" in given or given.lstrip().startswith("{"):
        return given
    path = Path(given)
    hint = f"Give one: {EXAMPLE}"
    require(given != "", "config", given, "it names no file", hint)
    try:
        if path.is_file():
            return path.read_text(encoding="utf-8-sig")
        folder = path.is_dir()
    except UnicodeDecodeError as error:
        reason = f"it is not encoded in UTF-8 ({error.reason} at byte {error.start})"
        raise ConfigurationError("config", given, reason, "Save it as UTF-8.") from error
    except OSError as error:
        raise ConfigurationError("config", given, f"it cannot be read ({error.strerror})", hint) from error
    if folder:
        inside = sorted(str(file) for file in path.iterdir() if file.suffix in (".yaml", ".yml", ".json"))
        named = f"Name a file in it, such as {inside[0]}." if inside else hint
        raise ConfigurationError("config", given, "it is a folder", named)
    require(re.search(r":\s", given) is not None, "config", given, *no_such_file(given))
    return given


def _entries(node: yaml.Node, name: str, above: str = "") -> Iterator[Entry]:
    """The keys of a node.

    Raises:
        ConfigurationError: if a mapping has one twice.
    """
    if isinstance(node, yaml.SequenceNode):
        for member in node.value:
            yield from _entries(member, name, above)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key_node, value in node.value:
        key, line = f"{above}{key_node.value}", key_node.start_mark.line + 1
        require(
            key not in lines or key_node.value == "<<",
            f"{key} (in {name}, line {line})",
            value.value if isinstance(value, yaml.ScalarNode) else "…",
            f"the key is in line {lines.get(key)} too, and one of the two would be lost",
            "Keep one.",
        )
        lines[key] = line
        yield Entry(key, line, value.value if isinstance(value, yaml.ScalarNode) else None)
        yield from _entries(value, name, f"{key}.")


def _check_specifications(value: Any, key: str, file: ConfigurationFile) -> None:
    """Refuse keys next to a `class_path` that belong under `init_args`."""
    if isinstance(value, list):
        for member in value:
            _check_specifications(member, key, file)
    if not isinstance(value, dict):
        return
    beside = [name for name in value if name not in SPECIFICATION] if "class_path" in value and key else []
    if beside:
        full = f"{key}.{beside[0]}"
        line = next((entry.line for entry in file.entries if entry.key == full), None)
        raise ConfigurationError(
            f"{full} ({file.where(line)})",
            value[beside[0]],
            f"an argument of a class does not belong next to its class_path ({value['class_path']})",
            f"Put it under {key}.init_args.",
        )
    for name, content in value.items():
        _check_specifications(content, f"{key}.{name}" if key else str(name), file)
