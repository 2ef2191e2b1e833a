"""A user's configuration mistakes, each reported in one message."""

from __future__ import annotations

import difflib
import inspect
import re
from argparse import Action
from collections.abc import Callable, Sequence
from pkgutil import resolve_name
from typing import Any, NoReturn

from jsonargparse import ArgumentParser
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.cli import LightningArgumentParser

from envs.errors import ConfigurationError
from lit_metarl.command_line.classes import (
    action_of,
    arguments_of,
    classes_of,
    classes_with,
    kinds_of_arguments,
    known_keys,
)
from lit_metarl.command_line.files import EXAMPLE, ConfigurationFile
from lit_metarl.command_line.given import Typed
from lit_metarl.command_line.help import ConciseHelp, name_of_type
from lit_metarl.command_line.kinds import in_words
from lit_metarl.command_line.layers import Layers
from lit_metarl.command_line.modes import set_modes

UNKNOWN_KEY = (
    r"does not accept option '(?P<key>[^']+)'",
    r"Option '(?P<key>[^']+)' is not accepted",
    r"[Uu]nrecognized arguments: --(?P<key>[\w.]+)",
    r"Key '(?P<key>[^']+)' is not expected",
)
KEY = r'Parser key "(?P<key>[^"]+)"'
VALUE = (r"Given value: (?P<value>.*)", r"Got value: (?P<value>.*)")
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
BASE = "it is only a base class of others"
HELP = ("help", "config", "print_config", "==SUPPRESS==")
MEANT = {"seed": "seed_everything"}
"""Keys by which people try others that are spelled differently."""
FEW = 12  # keys that fit into a message
NOT_INSTALLED = r"(?P<what>Requirement '[^']+' not met)\. HINT: Try running `(?P<how>[^`]+)`"


class Mistake(SystemExit):
    """What a parser refuses. The parser of a class knows neither the key of the class nor where it was given.

    It is a `SystemExit`, as argparse raises, so that jsonargparse does not try the next type of a union.

    Args:
        key: of the mistake, as far as the parser knows it; None if there is no single key.
        value: what was given for it; None if that is not known.
        tell: the message, for a key and its place.
        unknown: whether the mistake is that there is no such key.
    """

    def __init__(self, key: str | None, value: str | None, tell: Callable[[str], str], unknown: bool = False) -> None:
        super().__init__(tell(key or ""))
        self.code = 2
        self.key, self.value, self._tell, self._unknown = key, value, tell, unknown

    def placed(self, layers: Layers, parser: ArgumentParser) -> MisconfigurationException:
        """The mistake with its full key, file and line, and with the classes that have such a key."""
        if self.key is None:
            return MisconfigurationException(str(self))
        place = layers.place(self.key, self.value)
        owners = classes_with(parser, place.partition(" ")[0]) if self._unknown else []
        if not owners:
            return MisconfigurationException(self._tell(place))
        listed = " and ".join((", ".join(owners[:-1]), owners[-1])) if len(owners) > 1 else owners[0]
        return MisconfigurationException(
            f"unknown key {_quoted(place)}: {listed} {'has' if len(owners) == 1 else 'have'} it, and another class was "
            "chosen. Leave it out, or choose one that has it."
        )


class ConciseParser(LightningArgumentParser):
    """Reports a mistake with what is wrong and the nearest known key, without the usage.

    Attributes:
        layers: configuration files and arguments of the command that is parsed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, formatter_class=ConciseHelp, **kwargs)
        self.layers = Layers()

    def dump(self, cfg: Any, *args: Any, **kwargs: Any) -> str:
        """The configuration as text, including the modes of callbacks that were not given."""
        if "trainer" in cfg:
            cfg = cfg.clone()
            set_modes(cfg, self.layers)
        text: str = super().dump(cfg, *args, **kwargs)
        return text

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise a `Mistake`, in this project's words where it is a common one."""
        details = f"{message}\n{ex}" if ex is not None else message
        unknown = next((found for pattern in UNKNOWN_KEY if (found := re.search(pattern, details))), None)
        if unknown is not None:
            hint = self._unknown_key(unknown["key"], details)
            raise Mistake(unknown["key"], None, lambda place: f"unknown key {_quoted(place)}{hint}", unknown=True)
        key = re.search(KEY, message)
        if key is None or key["key"] == "config":
            told = self._explained(message)
            raise Mistake(None, None, lambda _: told)
        value, allowed, hint = self._wrong_value(key["key"], message)
        if allowed is None:
            raise Mistake(None, None, lambda _: message)
        raise Mistake(key["key"], value, lambda place: str(ConfigurationError(place, value, allowed, hint).args[0]))

    def _unknown_key(self, key: str, details: str) -> str:
        """The class that does not have the key, and what is known instead."""
        known = [name for name in known_keys(self) if name.rpartition(".")[2] not in HELP]
        owner = re.search(r"class_path '(?P<path>[\w.]+)'", details)
        if owner is not None:
            known = arguments_of(owner["path"])
        of = f" of {owner['path']}" if owner is not None else ""
        section = re.match(r"(?P<name>\w+)\.(class_path|init_args)\b", key)
        if section is not None and self.exit_on_error:
            return f". The keys of '{section['name']}' stand right under it, without class_path and init_args."
        elsewhere = self.layers.classes_with(key.rpartition(".")[2]) if self.exit_on_error else []
        if elsewhere:
            return f". It is known as {' and '.join(elsewhere)}."
        nearest = [MEANT[key]] if key in MEANT else difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        if nearest:
            return f"{of}. The nearest known key is '{nearest[0]}'."
        if self.exit_on_error or len(known) > FEW:
            return f"{of}. See --help for the known keys."
        return (
            f"{of}. Known are {', '.join(known)}." if known else f"{of}. There is no class with arguments at this key."
        )

    def _explained(self, message: str) -> str:
        """A message that is not about a single key."""
        required = re.search("arguments are required: (?P<names>.*)", message)
        if required is not None and not self.exit_on_error:  # the parser of a class
            return f"{required['names']} must be given: the class has no default for it. It belongs under init_args."
        if required is not None:
            return f"{message}. Give a configuration: {EXAMPLE}"
        if re.search(r"[Uu]nrecognized arguments: [^-]", message):
            return f"{message}. Keys begin with --, and a file is given by --config: {EXAMPLE}"
        single = re.search(r"argument (?P<name>[^ :]+): expected one argument", message)
        if single is not None:
            option = single["name"].rpartition("/")[2]
            hint = "A value that begins with a dash is joined to its key: --KEY=-1."
            return f"{option}, or a key under it, is given without a value. {hint}"
        if "subcommand" in message:
            choice = re.search(r"invalid choice: '(?P<value>[^']*)'", message)
            given = "none was given" if choice is None else f"'{choice['value']}' is none"
            hint = "Begin with one, such as: fit --config configs/quickstart.yaml"
            return f"the subcommand must be fit, validate, test or predict: {given}. {hint}"
        return message

    def _wrong_value(self, key: str, message: str) -> tuple[str, str | None, str]:
        """What was given for a key, what is allowed (None if the message does not tell), and what to do."""
        action = action_of(self, key)
        if re.search(IS_BASE, message):
            if self.exit_on_error and not self.layers.names_class(key):
                return "", "it has arguments and no class", f"Give it one, by --{key} or a file. {_known(action)}"
            return _first(NAMED_CLASS, message), BASE, _known(action)
        section = re.search(r"Unable to load config '(?P<value>[^']*)'", message)
        if section is not None:
            return section["value"], "it has keys of its own", f"Give them as --{key}.KEY, or a file that holds them."
        for pattern, reason in NO_CLASS:
            found = re.search(pattern, message)
            if found is not None:
                detail = next((part for part in found.groups() if part), "")
                value = _first(NAMED_CLASS + VALUE, message)
                return value, reason.format(detail), _nearest_class(value, action)
        kind = None if action is None else name_of_type(action)
        if kind is None or not re.search("Expected a|Does not validate", message):
            return "", None, ""
        if in_words(kind) == "null":  # known so that one configuration serves every subcommand
            return _first(VALUE, message), "this subcommand does not use it", "Leave it out; 'predict' takes it."
        return _first(VALUE, message), f"it must be {in_words(kind)}", "Correct it, or leave it out."


def refuse_own_seed(arguments: Sequence[Typed], files: Sequence[ConfigurationFile]) -> None:
    """Refuse a seed of the algorithm alone, which the seed of the run would silently overwrite.

    Raises:
        ConfigurationError: if there is one among the arguments or in a file.
    """
    for argument in arguments:
        if argument.key in ("model.init_args.seed", "model.seed"):
            raise _own_seed(argument.value)
    for file in files:
        for entry in file.entries:
            if entry.key in ("model.init_args.seed", "model.seed"):
                raise _own_seed(entry.text, f" ({file.where(entry.line)})")


def _own_seed(value: object, where: str = "") -> ConfigurationError:
    reason = "every random stream of a run follows from its one seed"
    return ConfigurationError(f"model.init_args.seed{where}", value, reason, f"Give it as --seed_everything={value}.")


def refuse_nulls(value: Any, key: str) -> None:
    """Refuse null for an argument of a class whose type does not allow it, which the parser accepts.

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
        for name, kind in kinds_of_arguments(value["class_path"]).items():
            if name in given and given[name] is None and not re.search(r"None|Optional|Any|object", kind):
                hint = f"Give {in_words(kind)}, or leave the key out."
                raise ConfigurationError(f"{key}.init_args.{name}", "null", "it must have a value", hint)


def refuse_base_environment(env: Any, parser: ArgumentParser) -> None:
    """Refuse an abstract environment class: to the parser an environment is any callable, so it accepts one.

    Args:
        env: the environment in the configuration, as primitives.
        parser: of the configuration.

    Raises:
        ConfigurationError: naming it.
    """
    path = env.get("class_path") if isinstance(env, dict) else None
    if path is not None and inspect.isabstract(resolve_name(path)):
        raise _base("data.env", path, action_of(parser, "data.env"))


def _base(key: str, class_path: str, action: Action | None) -> ConfigurationError:
    """The error for an abstract class."""
    return ConfigurationError(key, class_path, BASE, _known(action))


def missing_requirement(message: str) -> str:
    """What to install, if a class could not be built without it; otherwise the message unchanged."""
    found = re.search(NOT_INSTALLED, message)
    return message if found is None else f"{found['what']}. Install it: {found['how']}"


def _quoted(place: str) -> str:
    """A key in quotes; the place in brackets after it is left out of them."""
    key, space, where = place.partition(" ")
    return f"'{key}'{space}{where}"


def _first(patterns: tuple[str, ...], message: str) -> str:
    """The value that the first matching pattern finds."""
    found = next((found for pattern in patterns if (found := re.search(pattern, message))), None)
    return "" if found is None else found["value"].rstrip(".")


def _nearest_class(value: str, action: Action | None) -> str:
    known = classes_of(action)
    nearest = difflib.get_close_matches(value.rpartition(".")[2], known, n=1, cutoff=0.6)
    return f"The nearest is '{known[nearest[0]]}'." if nearest else _known(action)


def _known(action: Action | None) -> str:
    known = classes_of(action)
    listed = f"Known are {', '.join(known)}; a" if known else "A"
    return f"{listed} class of your own is named FILE.CLASS, without .py, with the file beside train.py."
