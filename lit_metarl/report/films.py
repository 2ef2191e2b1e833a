"""The films that runs ended with, for a report's page."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_metarl.report.run_folders import find_runs

Film = tuple[bytes, str]
"""A GIF and its caption."""


def films_in(folder: Path) -> dict[str, list[Film]]:
    """By experiment, the films of the first seed of every method that has any.

    Args:
        folder: with the runs.
    """
    films: dict[str, list[Film]] = {}
    filmed = set()
    for name, folders in find_runs(folder).items():
        if (name.experiment, name.method) in filmed:
            continue
        for version in reversed(folders):
            if own := _films_of(version, f"{name.method}, seed {name.seed}"):
                films.setdefault(name.experiment, []).extend(own)
                filmed.add((name.experiment, name.method))
                break
    return films


def _films_of(version: Path, run: str) -> list[Film]:
    """What one process filmed when training ended."""
    events = EventAccumulator(str(version), size_guidance={"images": 1})
    events.Reload()
    names = [name for name in events.Tags()["images"] if name.startswith("videos/")]
    return [
        (events.Images(name)[-1].encoded_image_string, f"{run}: trial on the {name.removeprefix('videos/')} task")
        for name in sorted(names)
    ]
