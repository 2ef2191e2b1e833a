"""Scalars that a run logged with TensorBoard or as CSV, and the films that it ended with."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from pathlib import Path

import pandas as pd
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.tensorflow_stub.errors import DataLossError, OutOfRangeError
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New

from lit_metarl.report.run_folders import find_runs

TABLE = "metrics.csv"  # of Lightning's CSVLogger
EVERYTHING = {"scalars": 0, "images": 1}  # tensorboard thins out long series unless told otherwise
FILMS = "videos/"

Film = tuple[bytes, str]
"""A GIF and its caption."""

logging.getLogger("tensorboard").setLevel(logging.ERROR)


def read_scalars(folders: list[Path], prefixes: tuple[str, ...], whole: bool = True) -> dict[str, dict[int, float]]:
    """Scalars by name and environment step; of values logged at one step, the last counts.

    Args:
        folders: with the event files of one run; several if it was resumed, the newest last.
        prefixes: of the names that are wanted.
        whole: whether the run has ended, so that its last event files must not be cut off.

    Raises:
        ValueError: if an event file is damaged that the last process of the newest folder wrote. One that an
            interruption cut off is read as far as it goes: the resumed run logged the rest again.
    """
    paths = sorted(folders[-1].glob("*tfevents*"))
    for path in paths:
        if whole and _process(path) == _process(paths[-1]):
            _check_whole(path)
    scalars: dict[str, dict[int, float]] = {}
    for folder in folders:
        logged = _logged_in(folder, prefixes)
        trained = [min(values) for name, values in logged.items() if name.startswith("progress/")]
        first = min(trained, default=math.inf)  # from there on, what earlier folders hold was done again
        for name, values in logged.items():
            kept = {step: value for step, value in scalars.get(name, {}).items() if step < first}
            scalars[name] = {**kept, **values}
    return dict(sorted(scalars.items()))


def _logged_in(folder: Path, prefixes: tuple[str, ...]) -> dict[str, dict[int, float]]:
    """The scalars in one folder, by name and environment step."""
    logged: dict[str, dict[int, float]] = {}
    events = _events(folder)
    for name in events.Tags()["scalars"]:
        if name.startswith(prefixes):
            logged[name] = {event.step: event.value for event in events.Scalars(name)}
    if (folder / TABLE).is_file():
        table = pd.read_csv(folder / TABLE)
        for name in filter(lambda name: name.startswith(prefixes), map(str, table)):
            rows = table[["step", name]].dropna()
            logged.setdefault(name, {}).update(zip(rows["step"].astype(int), rows[name]))
    return logged


def films_in(folder: Path) -> dict[str, list[Film]]:
    """By experiment, the films of the first seed of every method that has any.

    Args:
        folder: with the runs.
    """
    films: dict[str, list[Film]] = defaultdict(list)
    filmed = set()
    for name, versions in find_runs(folder).items():
        if name[:2] not in filmed:
            films_of_versions = (
                _films_of(version, f"{name.method}, seed {name.seed}") for version in reversed(versions)
            )
            if newest := next(filter(None, films_of_versions), None):
                films[name.experiment] += newest
                filmed.add(name[:2])
    return films


def _films_of(version: Path, run: str) -> list[Film]:
    """What one process filmed when training ended."""
    events = _events(version)
    names = sorted(name for name in events.Tags()["images"] if name.startswith(FILMS))
    caption = f"{run}: trial on the {{}} task"
    return [(events.Images(name)[-1].encoded_image_string, caption.format(name.removeprefix(FILMS))) for name in names]


def _events(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance=EVERYTHING)
    events.Reload()
    return events


def _process(path: Path) -> str:
    """Which process wrote an event file: host and number, from `events.out.tfevents.TIME.HOST.PROCESS.COUNT`."""
    return path.name.split(".", 4)[-1].rpartition(".")[0]


def _check_whole(path: Path) -> None:
    """Raise a ValueError if a record of `path` is damaged: the accumulator would end there silently."""
    reader = PyRecordReader_New(str(path))
    try:
        while True:
            reader.GetNext()
    except OutOfRangeError:
        return
    except DataLossError as error:
        raise ValueError("an event file of it is damaged or cut off") from error
