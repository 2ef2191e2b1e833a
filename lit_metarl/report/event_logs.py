"""Scalars from a run's TensorBoard event files."""

from __future__ import annotations

import logging
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

EVERYTHING = {"scalars": 0}  # tensorboard thins out long series unless told otherwise

logging.getLogger("tensorboard").setLevel(logging.ERROR)


def read_scalars(folder: Path, prefixes: tuple[str, ...]) -> dict[str, dict[int, float]]:
    """Scalars by name and environment step; of values logged at one step, the last counts.

    Args:
        folder: with the event files of one run.
        prefixes: of the names that are wanted.
    """
    events = EventAccumulator(str(folder), size_guidance=EVERYTHING)
    events.Reload()
    return {
        name: {event.step: event.value for event in events.Scalars(name)}
        for name in sorted(events.Tags()["scalars"])
        if name.startswith(prefixes)
    }
