"""Which checkpoint a run is resumed from, and whether it may be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_metarl.checkpoints.errors import UnusableCheckpoint
from lit_metarl.checkpoints.exact_resume import whole
from lit_metarl.configuration_hash import OF_THE_MACHINE_ONLY

LAST = "last"
LENGTH_OF_EPOCH = "limit_train_batches"  # the one argument of the Trainer that changes what is computed
SHOWN = 6
OF_THE_MACHINE = (
    *("data.replay_storage", "data.replay_folder"),
    *(f"data.env.init_args.{name}" for name in OF_THE_MACHINE_ONLY),
)
"""Keys whose values do not affect what a run computes."""

FREE = (".env_args", ".dict_kwargs")
"""Ends of keys under which the user chooses the names: none of them was added or removed by a version."""


@dataclass(frozen=True)
class Choice:
    """A checkpoint to resume from.

    Attributes:
        checkpoint: the newest whole one; None if there is none at all.
        refused: those that are damaged, as far as they were looked at, with the reasons.
    """

    checkpoint: Path | None
    refused: list[UnusableCheckpoint]


def newest_whole(folder: Path) -> Choice:
    """The newest whole checkpoint in a folder.

    Raises:
        UnusableCheckpoint: if there are checkpoints, but all are damaged.
    """
    known: list[tuple[int, bool, Path]] = []
    refused: list[UnusableCheckpoint] = []
    for path in sorted(folder.glob("*.ckpt")):
        try:
            known.append((whole(path, check_files=False).progress, path.stem == LAST, path))
        except UnusableCheckpoint as error:
            refused.append(error)
    for *_, path in sorted(known, reverse=True):
        try:
            whole(path)
            return Choice(path, refused)
        except UnusableCheckpoint as error:
            refused.append(error)
    if refused:
        raise next((error for error in refused if error.path.stem == LAST), refused[0])
    return Choice(None, [])


def folders_of_runs(own: Path) -> list[Path]:
    """Folders of checkpoints: a run's own, then those of the runs of its name, newest first."""
    runs = own.parent.parent.glob("version_*")
    numbered = [run for run in runs if run.name.removeprefix("version_").isdigit()]
    numbered.sort(key=lambda run: int(run.name.removeprefix("version_")), reverse=True)
    return list(dict.fromkeys([own, *(run / own.name for run in numbered)]))


def check_configuration(checkpoint: Path, saved: dict[str, Any], current: dict[str, Any]) -> None:
    """Refuse to resume under another configuration.

    Keys that only one of the two has are options that a version added or removed, and are ignored.

    Raises:
        UnusableCheckpoint: naming the keys that differ.
    """
    parts = ("seed_everything", "initial_weights", "model", "data")
    different = [line for part in parts for line in _differences(saved.get(part), current.get(part), part)]
    before, now = (settings.get("trainer", {}).get(LENGTH_OF_EPOCH) for settings in (saved, current))
    different += _differences(before, now, f"trainer.{LENGTH_OF_EPOCH}")
    if different:
        more = f" and {len(different) - SHOWN} more" if len(different) > SHOWN else ""
        raise UnusableCheckpoint(
            checkpoint,
            f"it was written under another configuration: {'; '.join(different[:SHOWN])}{more}",
            "Give the run's own configuration (config.yaml in its folder), or leave ckpt_path out to start afresh; "
            f"--initial_weights {checkpoint} starts a new run from its weights (fine-tuning).",
        )


def _differences(saved: Any, current: Any, key: str) -> list[str]:
    if saved == current or key in OF_THE_MACHINE:
        return []
    if isinstance(saved, dict) and isinstance(current, dict):
        names = [name for name in saved if name in current]
        if saved.get("class_path") != current.get("class_path"):
            names = ["class_path"]  # the arguments of different classes have nothing to do with each other
        elif key.endswith(FREE):
            names = list({**saved, **current})
        pairs = ((f"{key}.{name}", saved.get(name), current.get(name)) for name in names)
        return [line for name, before, now in pairs for line in _differences(before, now, name)]
    return [f"{key} was {_short(saved)} and is {_short(current)}"]


def _short(value: Any) -> str:
    return str(value["class_path"]) if isinstance(value, dict) and "class_path" in value else repr(value)
