"""A user's configuration mistakes, each told in one message."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import sys
from argparse import Action
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser
from pytorch_lightning.cli import LightningArgumentParser

from envs.errors import ConfigurationError
from lit_metarl.command_line.help import ConciseHelp, known_classes, name_of_type

UNKNOWN_KEY = (
    r"does not accept option '(?P<key>[^']+)'",
    r"Option '(?P<key>[^']+)' is not accepted",
    r"[Uu]nrecognized arguments: --(?P<key>[\w.]+)",
    r"Key '(?P<key>[^']+)' is not expected",
)
KEY = r'Parser key "(?P<key>[^"]+)"'
VALUE = (r"Given value: (?P<value>.*)", r"Got value: (?P<value>.*)")
NO_FILE = r'Parser key "config": (?:File does not exist|Path is not a file): \'(?P<path>.*)\''
NO_CLASS = (  # by what is wrong; the value is in the message in one of two ways
    (r"No module named (?P<detail>'.*')", "there is no module {}"),
    (r"(?P<detail>module '.*' has no attribute '.*')", "{}"),
    (r"not correspond to a subclass of (?P<detail>\w+)|to be a subclass of <class '(?P<other>\w+)'>", "it is no {}"),
    (r"Not a valid subclass of (?P<detail>\w+)", "it is no {}"),
    (r"Expected a dot import path string: (?P<detail>.*)", "no class is known by this name"),
)
IS_BASE = r"Expected an instantiatable class, but .*is abstract"
NAMED_CLASS = (
    r"but (?P<value>[\w.]+) is abstract",
    r"given class_path '(?P<value>[^']+)'",
    r"Expected a path but (?P<value>\S+) either",
)
LINKED = ("self", "world", "seed")  # they get their values from elsewhere
NOT_INSTALLED = r"(?P<what>Requirement '[^']+' not met)\. HINT: Try running `(?P<how>[^`]+)`"


class ConciseParser(LightningArgumentParser):
    """Answers a mistake with what is wrong and the nearest known key, not with the whole usage."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, formatter_class=ConciseHelp, **kwargs)
        self._reading: object = None

    def parse_path(self, cfg_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Parse a file; an error in it can name the file."""
        self._reading = cfg_path
        return super().parse_path(cfg_path, *args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the message and leave with status 2."""
        details = f"{message}\n{ex}" if ex is not None else message
        for pattern in UNKNOWN_KEY:
            found = re.search(pattern, details)
            if found is not None:
                message = self._unknown_key(found["key"], details)
                break
        else:
            message = self._explained(message)
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2)

    def _unknown_key(self, key: str, details: str) -> str:
        known = _known_keys(self)
        owner = re.search(r"class_path '(?P<path>[\w.]+)'", details)
        if owner is not None:
            known = _arguments_of(owner["path"])
        nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        where = f" of {owner['path']}" if owner is not None else ""
        hint = f"The nearest known key is '{nearest[0]}'." if nearest else "See --help for the known keys."
        return f"unknown key '{key}'{where}. {hint}"

    def _explained(self, message: str) -> str:
        """A message of the library in this project's words, where it is one that users meet."""
        hint = "--config configs/quickstart.yaml, for example."
        if "arguments are required" in message:
            return f"{message}. Give a configuration: {hint}"
        if re.search(r"[Uu]nrecognized arguments: [^-]", message):
            return f"{message}. Keys begin with --, and a file is given by --config: {hint}"
        if "Problems parsing config" in message and self._reading is not None:
            _, _, problem = message.partition("Problems parsing config: ")
            return f"{self._reading} cannot be read as YAML: {problem}"
        file = re.search(NO_FILE, message)
        if file is not None:
            return str(ConfigurationError("config", file["path"], "there is no such file", f"Give one: {hint}"))
        key = re.search(KEY, message)
        if key is None or key["key"] == "config":
            return message
        return self._wrong_value(key["key"], message)

    def _wrong_value(self, key: str, message: str) -> str:
        action = _action_of(self, key)
        if re.search(IS_BASE, message):
            return str(_base(key, _first(NAMED_CLASS, message), action))
        for pattern, reason in NO_CLASS:
            found = re.search(pattern, message)
            if found is not None:
                detail = next(part for part in found.groups() if part)
                value = _first(NAMED_CLASS + VALUE, message)
                return str(ConfigurationError(key, value, reason.format(detail), _nearest_class(value, action)))
        kind = None if action is None else name_of_type(action)
        if kind is None or not re.search("Expected a|Does not validate", message):
            return message
        return str(ConfigurationError(key, _first(VALUE, message), f"it must be {kind}", "See --help."))


def refuse_own_seed(arguments: Sequence[str]) -> None:
    """Refuse a seed of the algorithm alone, which the seed of the run would overwrite without a word.

    Raises:
        ConfigurationError: if one stands among the arguments or in a file that they name.
    """
    following = [*arguments[1:], ""]
    for argument, after in zip(arguments, following):
        key, joined, value = argument.partition("=")
        value = value if joined else after
        if key in ("--model.init_args.seed", "--model.seed"):
            raise _own_seed(value)
        if key in ("--config", "-c"):
            with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):  # the parser says more about it
                content: Any = yaml.safe_load(Path(value).read_text(encoding="utf-8"))
                for name in ("model", "init_args", "seed"):
                    content = content.get(name) if isinstance(content, dict) else None
                if content is not None:
                    raise _own_seed(content, f" (in {value})")


def _own_seed(value: object, where: str = "") -> ConfigurationError:
    reason = "every random stream of a run follows from its one seed"
    return ConfigurationError(f"model.init_args.seed{where}", value, reason, f"Give it as --seed_everything={value}.")


def refuse_nulls(value: Any, key: str) -> None:
    """Refuse null for an argument of a class whose type does not allow it, which the parser lets pass.

    Args:
        value: a part of the configuration, as primitives.
        key: its key.

    Raises:
        ConfigurationError: naming the argument.
    """
    if not isinstance(value, dict):
        return
    for name, content in value.items():
        refuse_nulls(content, f"{key}.{name}")
    given = value.get("init_args")
    if isinstance(given, dict) and "class_path" in value:
        for name, kind in _kinds_of_arguments(value["class_path"]).items():
            if name in given and given[name] is None and not re.search(r"None|Optional|Any|object", kind):
                hint = f"Give {kind}, or leave the key out."
                raise ConfigurationError(f"{key}.init_args.{name}", "null", "it must have a value", hint)


def _kinds_of_arguments(class_path: str) -> dict[str, str]:
    """Types of the arguments of a class by name, of those that it hands on too; "None" where that is the default."""
    kinds = {}
    for owner in reversed(resolve_name(class_path).__mro__):
        for argument in inspect.signature(owner.__init__).parameters.values() if "__init__" in vars(owner) else ():
            kinds[argument.name] = "None" if argument.default is None else str(argument.annotation)
    return {name: kind for name, kind in kinds.items() if name not in LINKED}


def refuse_base_world(world: Any, parser: ArgumentParser) -> None:
    """Refuse a class that is only a base of worlds: to the parser a world is what can be called, and it lets it pass.

    Args:
        world: the world in the configuration, as primitives.
        parser: of the configuration.

    Raises:
        ConfigurationError: naming it.
    """
    path = world.get("class_path") if isinstance(world, dict) else None
    if path is not None and inspect.isabstract(resolve_name(path)):
        raise _base("data.env", path, _action_of(parser, "data.env"))


def _base(key: str, class_path: str, action: Action | None) -> ConfigurationError:
    """That a class is one for others to inherit from."""
    return ConfigurationError(key, class_path, "it is only a base of others, which complete it", _known(action))


def missing_requirement(message: str) -> str:
    """What to install, if a class could not be built for lack of it; otherwise the message as it is."""
    found = re.search(NOT_INSTALLED, message)
    return message if found is None else f"{found['what']}. Install it: {found['how']}"


def _first(patterns: tuple[str, ...], message: str) -> str:
    """The value that the first matching pattern finds."""
    found = next((found for pattern in patterns if (found := re.search(pattern, message))), None)
    return "" if found is None else found["value"].rstrip(".")


def _nearest_class(value: str, action: Action | None) -> str:
    known = _classes(action)
    nearest = difflib.get_close_matches(value.rpartition(".")[2], known, n=1, cutoff=0.6)
    return f"The nearest is '{known[nearest[0]]}'." if nearest else _known(action)


def _classes(action: Action | None) -> dict[str, str]:
    """The classes for users that an option may name, by their names without modules."""
    return {path.rpartition(".")[2]: path for path in ([] if action is None else known_classes(action))}


def _known(action: Action | None) -> str:
    known = _classes(action)
    listed = f"Known are {', '.join(known)}; a" if known else "A"
    return f"{listed} class of your own is named FILE.CLASS, without .py, with the file beside train.py."


def _action_of(parser: ArgumentParser, key: str) -> Action | None:
    """The option of the parser, or of one of its subcommands, that is called `key`."""
    for action in parser._actions:
        if action.dest == key:
            return action
        if isinstance(action.choices, dict):
            for subparser in action.choices.values():
                if (found := _action_of(subparser, key)) is not None:
                    return found
    return None


def _known_keys(parser: ArgumentParser) -> list[str]:
    """Keys of the parser and of all its subcommands."""
    keys = []
    for action in parser._actions:
        keys.append(action.dest)
        if isinstance(action.choices, dict):
            keys += [key for subparser in action.choices.values() for key in _known_keys(subparser)]
    return keys


def _arguments_of(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    parser = ArgumentParser()
    parser.add_class_arguments(getattr(importlib.import_module(module), name), as_group=False)
    return _known_keys(parser)
