"""Configuration files that override one another: what an earlier one still means when a class is replaced."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from pytorch_lightning.cli import ActionConfigFile  # type: ignore[attr-defined]

from envs.errors import require
from lit_metarl.command_line.classes import action_of, arguments_of, path_of_class
from lit_metarl.command_line.files import ConfigurationFile, Entry, read_configuration
from lit_metarl.command_line.given import CALLBACKS, Typed, class_named, expanded
from lit_metarl.command_line.presets import located

CALLBACK_KEYS = ("callbacks", "callbacks+")
LISTS_OF_CLASSES = (CALLBACKS, "trainer.logger")


class Layers:
    """The configuration files of one command, and what was typed in addition.

    An argument written for one class does not apply to another: where a class is replaced, by a later file or by what
    is typed, the arguments that files gave to the old class are dropped. A warning names those that the new class would
    have accepted, and those that it does not have. A file that gives arguments without a class means the current class.

    Args:
        arguments: what was typed.

    Attributes:
        warnings: about the command, in order.
    """

    def __init__(self, arguments: Sequence[Typed] = ()) -> None:
        self.arguments = arguments
        self.files: list[ConfigurationFile] = []
        self.warnings: list[str] = []
        self._written: dict[str, dict[str, str]] = {}  # by key of a class: its arguments and the files that gave them
        self._reading = False

    def apply(self, given: str, parser: ArgumentParser, cfg: Namespace, lay: Callable[[], None]) -> None:
        """Lay a file over a configuration.

        Args:
            given: the file.
            parser: of the configuration.
            cfg: the configuration so far.
            lay: what jsonargparse does to lay the file over it.

        Raises:
            ConfigurationError: if it is not usable.
        """
        file = read_configuration(given)
        if file is None:
            lay()
            return
        self._check_sections(file, parser)
        file = replace(file, content=expanded(file.content, Path(file.name).parent))
        self.files.append(file)
        self._replace(file.content, "", cfg, file, parser)
        self._reading = True
        lay()
        self._reading = False
        self._remember(file.content, "", cfg, file)
        for argument in self.arguments:  # a class that was typed counts from the first file on
            self._choose(argument, parser, cfg)

    def place(self, key: str, value: str | None = None) -> str:
        """A key in a message, completed by the keys above it and by where it was given, as far as that is known.

        Args:
            key: with at least its last part.
            value: what was given for it; None if that is not known.
        """
        if not self._reading:
            for argument in reversed(self.arguments):
                if argument.key == key or argument.key.endswith(f".{key}"):
                    return argument.key
            if any(argument.key.startswith(f"{key}.") for argument in self.arguments):
                return key
        for file in reversed(self.files):
            found = [entry for entry in file.entries if _is_meant(entry, key, value)]
            if len(found) == 1:
                return f"{found[0].key} ({file.where(found[0].line)})"
            if found:
                return f"{key} ({file.where()})"
        return key

    def classes_with(self, name: str) -> list[str]:
        """The keys under which the classes that files choose, or their settings, have an argument of this name."""
        chosen = [entry for file in self.files for entry in file.entries if entry.key.endswith(".class_path")]
        slots = {entry.key.removesuffix("class_path"): entry.text for entry in chosen}
        known = {slot: path for slot, path in slots.items() if path and "." in path}
        return [
            f"{slot}init_args.{argument}"
            for slot, path in known.items()
            for argument in arguments_of(path)
            if argument.rpartition(".")[2] == name
        ]

    def gives(self, key: str) -> bool:
        """Whether a key was given a value, in a file or typed."""
        return any(argument.key == key for argument in self.arguments) or any(
            entry.key == key for file in self.files for entry in file.entries
        )

    def names_class(self, key: str) -> bool:
        """Whether a class was given for a key, in a file or typed."""
        named = [entry for file in self.files for entry in file.entries if entry.key == key and entry.text is not None]
        return bool(named) or self.gives(f"{key}.class_path") or any(given.key == key for given in self.arguments)

    def gives_to_callback(self, class_name: str, monitor: str | None, name: str) -> bool:
        """Whether an argument of the callback of this class and monitor was given, in a file or typed."""
        if any(given.key in (f"{CALLBACKS}.{name}", f"{CALLBACKS}.init_args.{name}") for given in self.arguments):
            return True
        sections = [file.content.get("trainer") or {} for file in self.files]
        values = [(section[key], key.endswith("+")) for section in sections for key in CALLBACK_KEYS if key in section]
        values += [(given.loaded, given.appends) for given in self.arguments if given.key == CALLBACKS]
        parts: list[Any] = []
        for value, appends in values:
            parts = [*(parts if appends else []), *(value if isinstance(value, list) else [value])]
        given = [part.get("init_args") or {} for part in parts if _is_of_class(part, class_name)]
        return any(name in arguments for arguments in given if arguments.get("monitor", monitor) == monitor)

    def _check_sections(self, file: ConfigurationFile, parser: ArgumentParser) -> None:
        """Refuse a section that is not made of keys."""
        known = [action.dest for action in parser._actions if not action.dest.endswith(".help")]
        groups = {key[: dot.start()] for key in known for dot in re.finditer(r"\.", key)}
        for entry in file.entries:
            if entry.key in groups and not (entry.text or "").endswith((".yaml", ".yml", ".json")):
                value: Any = file.content
                for part in entry.key.split("."):
                    value = value.get(part, {}) if isinstance(value, dict) else {}
                require(
                    isinstance(value, dict),
                    f"{entry.key} ({file.where(entry.line)})",
                    value,
                    "it has keys of its own",
                    "Give it some of them, or leave it out.",
                )

    def _replace(
        self, content: Any, above: str, cfg: Namespace, file: ConfigurationFile, parser: ArgumentParser
    ) -> None:
        """Drop what the file replaces: arguments of other classes, and lists."""
        for name, value in content.items():
            key = f"{above}{name}"
            now = cfg.get(key)
            if isinstance(value, list) and now is not None:
                cfg[key] = None  # jsonargparse would give the old members' arguments to the new ones
            chosen = class_named(value)
            if chosen is not None and _has_class(now) and _differ(now["class_path"], chosen):
                path = path_of_class(parser, key, chosen)
                if path is not None:  # otherwise the parser reports it
                    self._drop(key, cfg, parser, path, _given_to_class(value), file.where())
            if isinstance(value, dict):
                self._replace(value, f"{key}.", cfg, file, parser)

    def _remember(self, content: Any, above: str, cfg: Namespace, file: ConfigurationFile) -> None:
        """Keep which arguments of which classes the file gives."""
        for name, value in content.items():
            key = f"{above}{name}"
            if _has_class(cfg.get(key)):
                for argument in _given_to_class(value):
                    self._written.setdefault(key, {})[argument] = file.name
            if isinstance(value, dict):
                self._remember(value, f"{key}.", cfg, file)

    def _choose(self, argument: Typed, parser: ArgumentParser, cfg: Namespace) -> None:
        """Replace a class from a file by the one that was typed."""
        key = _slot(cfg, argument.key.removesuffix(".class_path"))
        value = expanded(argument.loaded, Path())
        now, chosen = cfg.get(key), class_named(value)
        if isinstance(value, list) and now is not None and not argument.appends and key in LISTS_OF_CLASSES:
            cfg[key] = None  # as in `_replace`
            return
        if argument.appends or chosen is None or not _has_class(now) or not _differ(now["class_path"], chosen):
            return
        path = path_of_class(parser, key, chosen)
        if path is None:
            return  # the parser reports it
        given = _given_to_class(value)
        own = f"{key}.init_args."
        slots = [_slot(cfg, typed.key) for typed in self.arguments]
        given |= {slot.removeprefix(own).partition(".")[0] for slot in slots if slot.startswith(own)}
        self._drop(key, cfg, parser, path, given, "on the command line")
        now["class_path"] = path

    def _drop(self, key: str, cfg: Namespace, parser: ArgumentParser, chosen: str, given: set[str], where: str) -> None:
        """Drop the arguments that files gave to the class at `key`, which `chosen` replaces.

        Args:
            key: of the class.
            cfg: the configuration so far.
            parser: of the configuration.
            chosen: the new class, with its module.
            given: arguments that it is given itself.
            where: the new class was given.
        """
        old = cfg[key]["class_path"].rpartition(".")[2]
        dropped = self._written.pop(key, {})
        for slot in [slot for slot in self._written if slot.startswith(f"{key}.")]:
            del self._written[slot]
        understood = {name.partition(".")[0] for name in arguments_of(chosen)}
        lost = understood | self._understood_by_typed(key, parser)
        now = cfg[key].get("init_args")
        default = getattr(action_of(parser, key), "default", None)
        defaults = default.get("init_args") or {} if isinstance(default, (dict, Namespace)) else {}
        for name in list(vars(now)) if isinstance(now, Namespace) else []:
            if name not in understood or (name in dropped and name not in defaults):
                del now[name]
            elif name in dropped:
                now[name] = defaults[name]
        shared = sorted(name for name in dropped if name in lost and name not in given)
        if shared:
            files = ", ".join(dict.fromkeys(dropped[name] for name in shared))
            new = chosen.rpartition(".")[2]
            others = sorted(name for name in dropped if name not in lost)
            too = f" {new} does not have {', '.join(others)}." if others else ""
            self.warnings.append(
                f"{key} is {new} ({where}). Arguments that {files} gave to {old} are dropped: "
                f"{', '.join(shared)}. Give them again to keep them.{too}"
            )

    def _understood_by_typed(self, key: str, parser: ArgumentParser) -> set[str]:
        """The arguments of the class that was typed for `key`, which a file's class comes in between of."""
        named = [class_named(given.loaded) for given in self.arguments if given.key.removesuffix(".class_path") == key]
        paths = [path_of_class(parser, key, name) for name in named if name is not None]
        return {name.partition(".")[0] for path in paths if path is not None for name in arguments_of(path)}


class LayeredFile(ActionConfigFile):
    """The option `--config`, whose files are the `layers` of the parser."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Lay a file, or the preset of a name, over the configuration so far."""
        parent, path = super().__call__, located(values) if isinstance(values, str) else values
        parser.layers.apply(path, parser, cfg, lambda: parent(parser, cfg, path, option_string))  # type: ignore[no-untyped-call]


def _is_meant(entry: Entry, key: str, value: str | None) -> bool:
    named = entry.key == key or entry.key.endswith(f".{key}")
    return named and (value is None or entry.text is None or entry.text == value)


def _is_of_class(value: Any, class_name: str) -> bool:
    return isinstance(value, dict) and str(value.get("class_path")).rpartition(".")[2] == class_name


def _has_class(value: object) -> bool:
    return isinstance(value, Namespace) and isinstance(value.get("class_path"), str)


def _differ(now: str, chosen: str) -> bool:
    """Whether two names denote different classes; one without a module matches any class of that name."""
    if "." not in chosen:
        return now.rpartition(".")[2] != chosen
    try:
        return now != chosen and resolve_name(now) is not resolve_name(chosen)
    except (ImportError, AttributeError, ValueError):
        return False  # there is none: the parser reports it


def _given_to_class(value: Any) -> set[str]:
    """The arguments that a value of a configuration gives to its class."""
    if not isinstance(value, dict):
        return set()
    within = value.get("init_args") if "init_args" in value or "class_path" in value else value
    return set(within) if isinstance(within, dict) else set()


def _slot(cfg: Namespace, key: str) -> str:
    """The key with the `init_args` that may be left out of it."""
    parts: list[str] = []
    for part in key.split("."):
        above = cfg.get(".".join(parts)) if parts else None
        if _has_class(above) and part not in ("init_args", "class_path", "dict_kwargs"):
            parts.append("init_args")
        parts.append(part)
    return ".".join(parts)
