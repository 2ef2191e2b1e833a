"""Settings of runs that are not those that the batch file gives now."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from lit_metarl.batch.claims import holder
from lit_metarl.batch.runs import SETTINGS, Run
from lit_metarl.checkpoints import folders_of_runs, newest_whole
from lit_metarl.command_line.given import typed

SHOWN = 3
"""Keys that a message names."""


def changes(run: Run) -> str:
    """What differs from the settings that a run was made with; empty if nothing, or if none recorded can be read."""
    recorded = run.folder / SETTINGS
    if not recorded.is_file():
        return ""
    try:
        before = _by_key(json.loads(recorded.read_text(encoding="utf-8")))
    except ValueError:  # damaged
        return ""
    now = _by_key(json.loads(run.settings_text))
    keys = [key for key in {**before, **now} if _told(before, key) != _told(now, key)]
    more = [f"and {len(keys) - SHOWN} more"] if len(keys) > SHOWN else []
    return "; ".join([f"{key} was {_told(before, key)} and is {_told(now, key)}" for key in keys[:SHOWN]] + more)


def mistake_in_resuming(run: Run, check: Callable[[list[str]], str | None]) -> str | None:
    """Why a run cannot go on from its checkpoint: its settings have changed in what it learns, or with.

    Args:
        run: of the batch.
        check: what is wrong with a command.

    Raises:
        ConfigurationError: if it has checkpoints, and all are damaged.
    """
    if not run.interrupted or holder(run.folder):
        return None
    changed = changes(run)
    if not changed:
        return None
    folder = next(
        folder for folder in folders_of_runs(run.folder / "new" / "checkpoints") if any(folder.glob("*.ckpt"))
    )
    if check([*run.arguments, f"--ckpt_path={newest_whole(folder).checkpoint}"]) is None:
        return None
    return f"{run.folder} was interrupted, with other settings: {changed}. Remove its folder, or restore the setting."


def _by_key(settings: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted key, as the last configuration or argument gives them."""
    found = {key: value for content in settings["configs"] for key, value in _leaves(content)}
    for argument in typed(settings["arguments"]):
        if argument.appends:
            found[argument.key] = [found.get(argument.key), argument.loaded]
        else:
            found.update(_leaves(argument.loaded, argument.key))
    return found


def _leaves(content: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested sections, by dotted key."""
    if isinstance(content, dict) and content:
        for name, value in content.items():
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, content


def _told(values: dict[str, Any], key: str) -> str:
    return repr(values[key]) if key in values else "not given"
