"""Checks of a configuration that need more than the part it is for."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytorch_lightning as pl

from envs.errors import ConfigurationError, require
from lit_metarl.algorithms import MetaRLModule


def check_precision(precision: str) -> None:
    """Raise a `ConfigurationError` unless `precision` is single."""
    # What is collected is single. Within a training step, mixed precision keeps its casts of the weights from before
    # the first of several optimizer steps.
    require(precision == "32-true", "trainer.precision", precision, "it must be 32-true", "Leave it out.")


def check_kept(number: int, filename: str | None) -> None:
    """Raise a `ConfigurationError` if the best `number` checkpoints would all be written to one file."""
    require(
        number in (0, 1) or filename is None or "{" in filename,
        "checkpoint.save_top_k",
        number,
        f"all of them would be the one file {filename}.ckpt",
        "Keep 1, or tell the files apart, as --checkpoint.filename='best-{epoch}' does.",
    )


def check_files(best: tuple[str | None, str | None], last: tuple[str | None, str | None]) -> None:
    """Raise a `ConfigurationError` if best and last checkpoint, each (folder, name), would be one file."""
    require(
        best != last,
        "last_checkpoint.filename",
        last[1],
        "the best and the last checkpoint would be one file",
        "Give them different names (checkpoint.filename, last_checkpoint.filename).",
    )


def check_limits(trainer: pl.Trainer, subcommand: str) -> None:
    """Raise a `ConfigurationError` if nothing would be evaluated, or never."""
    every = trainer.check_val_every_n_epoch
    hint = "Leave it out, or use a larger one."
    require(every is None or every >= 1, "trainer.check_val_every_n_epoch", every, "it must be at least 1", hint)
    name = {"fit": "test", "validate": "val"}.get(subcommand, subcommand)
    limit = getattr(trainer, f"limit_{name}_batches")
    require(limit != 0, f"trainer.limit_{name}_batches", limit, "nothing would be evaluated", hint)


def check_folder(folder: Path) -> None:
    """Raise a `ConfigurationError` if `folder` is that of another run."""
    require(
        not (folder / "config.yaml").exists(),
        "trainer.default_root_dir",
        str(folder),
        "it holds the config.yaml of another run",
        "Choose another folder, or a logger, which numbers the runs.",
    )


def check_monitor(monitor: str | None, tested: Iterable[str]) -> None:
    """Raise a `ConfigurationError` if a validation will not have the figure `monitor`.

    Args:
        monitor: what the best checkpoint is chosen by.
        tested: figures of a test, which are those of a validation; none if they are not known.
    """
    known = [name.replace("test/", "val/", 1) for name in tested]
    if monitor is None or not monitor.startswith("val/") or not known:
        return
    nearest = difflib.get_close_matches(monitor, known, n=1, cutoff=0.5)
    hint = f"The nearest is '{nearest[0]}'." if nearest else f"Known are {', '.join(known)}."
    require(monitor in known, "checkpoint.monitor", monitor, "no validation measures it", hint)


def check_weights(path: Path, saved: dict[str, tuple[int, ...]], model: MetaRLModule) -> None:
    """Raise a `ConfigurationError` unless the weights of a checkpoint, by name and shape, fit the algorithm."""
    own = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    different = next((name for name in sorted(saved | own) if saved.get(name) != own.get(name)), None)
    if different is not None:
        there, here = (str(list(shapes[different])) if different in shapes else "missing" for shapes in (saved, own))
        raise ConfigurationError(
            "ckpt_path",
            str(path),
            f"its networks are not those of this configuration ({different} is {there} there, {here} here)",
            "Give the configuration that it was trained under: config.yaml in the run's folder.",
        )


def check_writable(folder: Path) -> None:
    """Raise a `ConfigurationError` unless files can be written in `folder`, which may not exist yet."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise ConfigurationError(
            "trainer.logger.init_args.save_dir",
            str(folder),
            f"the folder cannot be written ({error.strerror})",
            "Choose a folder that you may write to.",
        ) from error
