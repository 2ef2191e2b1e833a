"""What `--help` shows: keys and what they mean, without the libraries' notes to programmers."""

from __future__ import annotations

import importlib
import re
from argparse import Action
from collections.abc import Iterable
from pkgutil import resolve_name

from jsonargparse import DefaultHelpFormatter

OWN_PACKAGES = ("envs", "datamodules", "lit_metarl")
HIDDEN = re.compile(
    r"(model|data)\.(meta_spec|seed)\b"  # given by links
    r"|last_checkpoint\.(?!dirpath|every_n_epochs)"  # as those of `checkpoint`
    r"|(weights_only|verbose|return_predictions)$"  # not for the command line
)
KNOWN_SUBCLASSES = re.compile(r", known subclasses: (?P<paths>[\w., ]+)")
MANY = 10  # options that fit into a usage line
TYPES = (
    (r"<class '(\w+)'>", r"\1"),
    (r"Callable\[\[int, int\], (\w+)\]", r"\1"),  # an environment, called with num_envs and a seed
    (r"Optional\[([^][]+(?:\[[^][]*\])?)\]", r"\1 | null"),
)
MARKUP = (
    (r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`"),
    (r"``", "`"),
    (r"\.\. (?:warning|note):: ?", ""),
)


class ConciseHelp(DefaultHelpFormatter):
    """Explains every key once, and does not repeat all of them as usage."""

    def add_usage(
        self, usage: str | None, actions: Iterable[Action], groups: Iterable[object], prefix: str | None = None
    ) -> None:
        """Show the pattern of a command; nothing above the arguments of a class."""
        actions = list(actions)
        if len(actions) > MANY and any(action.dest == "config" for action in actions):
            usage = f"{self._prog.replace(' [options]', '')} --config FILE [--config FILE ...] [--KEY VALUE ...]"
        if prefix is not None or any("." not in action.dest for action in actions):
            super().add_usage(usage, actions, groups, prefix)

    def add_argument(self, action: Action) -> None:
        """Leave out what a user cannot set."""
        if not HIDDEN.match(action.dest):
            super().add_argument(action)

    def _get_help_string(self, action: Action) -> str:
        text: str = super()._get_help_string(action)
        return KNOWN_SUBCLASSES.sub(lambda _: _known(action), text)

    def _expand_help(self, action: Action) -> str:
        text: str = super()._expand_help(action)
        return _replaced(text, MARKUP)

    def _get_type_str(self, action: Action) -> str | None:
        text: str | None = super()._get_type_str(action)
        return None if text is None else _replaced(text, TYPES)


def known_classes(action: Action) -> list[str]:
    """The classes for users that the value of an option may name."""
    found = KNOWN_SUBCLASSES.search(action.extra_help() if hasattr(action, "extra_help") else "")
    return [] if found is None else [path for path in found["paths"].split(", ") if _exported(path)]


def name_of_type(action: Action) -> str | None:
    """The type of an option's value, as the help shows it."""
    return ConciseHelp(prog="")._get_type_str(action)  # type: ignore[no-untyped-call]


def _known(action: Action) -> str:
    """The end of an option's help; for Lightning's classes, see Lightning's documentation."""
    shown = [] if action.dest.startswith("trainer.") else known_classes(action)
    return f", known: {', '.join(shown)}" if shown else ""


def _exported(path: str) -> bool:
    """Whether a class is for users: not a base of our own that no package exports, nor one made within a function."""
    module = path.rpartition(".")[0]
    if module.partition(".")[0] in OWN_PACKAGES:
        return hasattr(importlib.import_module(module), "__path__")
    try:
        return resolve_name(path) is not None
    except (ImportError, AttributeError):
        return False


def _replaced(text: str, rules: Iterable[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text
