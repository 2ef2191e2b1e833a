"""A user's configuration mistakes, each told in one message."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from typing import Any, NoReturn

from jsonargparse import ArgumentParser
from pytorch_lightning.cli import LightningArgumentParser

UNKNOWN_KEY = (
    r"does not accept option '(?P<key>[^']+)'",
    r"Option '(?P<key>[^']+)' is not accepted",
    r"[Uu]nrecognized arguments: --(?P<key>[\w.]+)",
    r"Key '(?P<key>[^']+)' is not expected",
)


class ConciseParser(LightningArgumentParser):
    """Answers a mistake with what is wrong and the nearest known key, not with the whole usage."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the message and leave with status 2."""
        details = f"{message}\n{ex}" if ex is not None else message
        for pattern in UNKNOWN_KEY:
            found = re.search(pattern, details)
            if found is not None:
                message = self._unknown_key(found["key"], details)
                break
        if "arguments are required" in message:
            message += ". Give a configuration: --config configs/quickstart.yaml, for example."
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
