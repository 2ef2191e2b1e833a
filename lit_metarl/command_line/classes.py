"""The classes that a configuration may choose, and their arguments."""

from __future__ import annotations

import inspect
from argparse import Action
from pkgutil import resolve_name

from jsonargparse import ArgumentParser

from lit_metarl.command_line.help import known_classes

LINKED = ("self", "meta_spec", "seed")  # their values are linked


def action_of(parser: ArgumentParser, key: str) -> Action | None:
    """The option of the parser, or of one of its subcommands, that is called `key`."""
    for action in parser._actions:
        if action.dest == key:
            return action
        if isinstance(action.choices, dict):
            for subparser in action.choices.values():
                if (found := action_of(subparser, key)) is not None:
                    return found
    return None


def known_keys(parser: ArgumentParser) -> list[str]:
    """Keys of the parser and of all its subcommands."""
    keys = []
    for action in parser._actions:
        keys.append(action.dest)
        if isinstance(action.choices, dict):
            keys += [key for subparser in action.choices.values() for key in known_keys(subparser)]
    return keys


def classes_of(action: Action | None) -> dict[str, str]:
    """The classes for users that an option may name, by their names without modules."""
    return {path.rpartition(".")[2]: path for path in ([] if action is None else known_classes(action))}


def classes_with(parser: ArgumentParser, key: str) -> list[str]:
    """The classes that could be chosen where `key` stands and that have it as an argument, without their modules."""
    parts = [part for part in key.split(".") if part != "init_args"]
    for cut in range(len(parts) - 1, 0, -1):
        known = classes_of(action_of(parser, ".".join(parts[:cut])))
        if known:
            argument = ".".join(parts[cut:])
            return [name for name, path in known.items() if _has(path, argument)]
    return []


def _has(class_path: str, argument: str) -> bool:
    try:
        return argument in arguments_of(class_path)
    except ValueError:  # an argument of another library's class that no configuration can give
        return False


def path_of_class(parser: ArgumentParser, key: str, name: str) -> str | None:
    """The path of the class that `name`, with or without its module, gives to the option `key`; None if it is none."""
    path = name if "." in name else classes_of(action_of(parser, key)).get(name, "")
    try:
        return path if inspect.isclass(resolve_name(path)) else None
    except (ImportError, AttributeError, ValueError):
        return None


def kinds_of_arguments(class_path: str) -> dict[str, str]:
    """Types of a class's arguments by name, those of its bases included; "None" where that is the default."""
    kinds = {}
    for owner in reversed(resolve_name(class_path).__mro__):
        for argument in inspect.signature(owner.__init__).parameters.values() if "__init__" in vars(owner) else ():
            kinds[argument.name] = "None" if argument.default is None else str(argument.annotation)
    return {name: kind for name, kind in kinds.items() if name not in LINKED}


def arguments_of(class_path: str) -> list[str]:
    """The arguments that a configuration may give to a class, nested ones with dots."""
    parser = ArgumentParser()
    parser.add_class_arguments(resolve_name(class_path), as_group=False)
    return [key for key in known_keys(parser) if key != "help" and key not in LINKED]
