"""Checks of a configuration that concern more than one part of a run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.profilers import PyTorchProfiler

from envs.base import MetaEnv
from envs.errors import require
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.checkpoints import COUNTERS, RunCheckpoint, different_weights, shapes_of

PROTOCOL = "test/metaworld_"  # metrics of `MetaWorldProtocol`, which takes part in tests only
CALLBACK = "trainer.callbacks.init_args"


def check_kept(number: int, filename: str | None) -> None:
    """Raise a `ConfigurationError` if no checkpoint would be kept, or the best `number` would all be one file."""
    require(
        number != 0,
        "checkpoint.save_top_k",
        number,
        "no checkpoint would be kept to be tested",
        "Set it to 1; --checkpoint.monitor=step tests the last one.",
    )
    require(
        number == 1 or filename is None or "{" in filename,
        "checkpoint.save_top_k",
        number,
        f"all of them would be written to one file, {filename}.ckpt",
        "Keep 1, or give the files different names: --checkpoint.filename='best-{epoch}'.",
    )


def check_files(best: tuple[str | None, str | None], last: tuple[str | None, str | None]) -> None:
    """Raise a `ConfigurationError` if the best and the last checkpoint, each (folder, name), would be the same file."""
    require(
        best != last,
        "last_checkpoint.filename",
        last[1],
        "the best and the last checkpoint would be one file",
        "Give them different names (checkpoint.filename, last_checkpoint.filename).",
    )


def check_switches(trainer: Any) -> None:
    """Raise a `ConfigurationError` if a switch turns off what a run from the command line needs.

    Args:
        trainer: arguments of the trainer, by name.
    """
    hint = "Leave it out; --trainer.logger=false and --trainer.enable_progress_bar=false are possible."
    require(not trainer.barebones, "trainer.barebones", True, "a run keeps its checkpoints and results", hint)
    kept = trainer.enable_checkpointing
    require(kept is not False, "trainer.enable_checkpointing", kept, "a run keeps its checkpoints", "Leave it out.")


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


def check_rendering(env: MetaEnv) -> None:
    """Raise a `ConfigurationError` if this machine cannot render `env`; called before any trial is run for a video."""
    env.reset()
    env.render_frame(0)


def check_profiler(trainer: pl.Trainer) -> None:
    """Raise a `ConfigurationError` for the profiler that fails when tests run before and after training."""
    # Lightning keeps its schedule after the first test, and then it fails or hangs.
    untyped: Any = trainer
    require(
        not isinstance(untyped.profiler, PyTorchProfiler),
        "trainer.profiler",
        type(untyped.profiler).__name__,
        "it cannot follow a fit, which also tests, to its end",
        "Use simple or advanced; validate, test and predict may have this one.",
    )


def check_monitor(key: str, monitor: str | None, tested: Iterable[str], counters: tuple[str, ...] = COUNTERS) -> None:
    """Raise a `ConfigurationError` if a run will not log the metric `monitor`.

    Metrics of training are known only once it runs; their names begin with a group, such as `train/`.

    Args:
        key: the configuration key.
        monitor: the metric to watch; None for none.
        tested: metrics of a test, the same as those of a validation; empty if they are not known.
        counters: what else can be watched.
    """
    known = [name.replace("test/", "val/", 1) for name in tested if not name.startswith(PROTOCOL)]
    if monitor is None or monitor in counters or not known:
        return
    if "/" in monitor and not monitor.startswith(("val/", "test/")):
        return
    nearest = difflib.get_close_matches(monitor, known, n=1, cutoff=0.5)
    hint = f"The nearest is '{nearest[0]}'." if nearest else f"Known are {', '.join(known)}."
    require(monitor in known, key, monitor, "no validation measures it", hint)


def check_callbacks(trainer: pl.Trainer, tested: Iterable[str]) -> None:
    """Raise a `ConfigurationError` if one of the user's callbacks watches a metric that is not available when it looks.

    Args:
        trainer: of the run.
        tested: metrics of a test (see `check_monitor`).
    """
    untyped: Any = trainer
    for callback in untyped.callbacks:
        if isinstance(callback, ModelCheckpoint) and not isinstance(callback, RunCheckpoint):
            check_monitor(f"{CALLBACK}.monitor", callback.monitor, tested)
        if isinstance(callback, EarlyStopping):
            check_monitor(f"{CALLBACK}.monitor", callback.monitor, tested, counters=())
            check_early_stopping(callback, trainer)


def check_early_stopping(stopping: EarlyStopping, trainer: pl.Trainer) -> None:
    """Raise a `ConfigurationError` if early stopping would look at its metric when that has not been measured."""
    if not stopping.strict:
        return  # then it waits for its metric
    every, of_validation = trainer.check_val_every_n_epoch, stopping.monitor.startswith("val/")
    after_epochs = stopping._check_on_train_epoch_end
    if after_epochs is None:  # as Lightning chooses
        after_epochs = every == 1 and trainer.val_check_interval == 1.0
    key = f"{CALLBACK}.check_on_train_epoch_end"
    require(
        not (of_validation and after_epochs) or (every == 1 and trainer.limit_val_batches != 0),
        key,
        after_epochs,
        f"{stopping.monitor} is not measured in every epoch",
        "Leave it out, and have validations.",
    )
    require(
        of_validation or after_epochs or every != 1,  # otherwise it sees that of the previous epoch
        key,
        after_epochs,
        f"{stopping.monitor} is measured at the end of an epoch, after its validation",
        "Set it to true.",
    )


def check_weights(path: Path, saved: dict[str, tuple[int, ...]], model: MetaRLModule) -> None:
    """Raise a `ConfigurationError` unless the weights of a checkpoint, by name and shape, fit the algorithm."""
    different = different_weights(saved, shapes_of(model.state_dict()))
    require(
        not different,
        "ckpt_path",
        str(path),
        f"its networks are not those of this configuration ({different})",
        "Give the configuration that it was trained under: config.yaml in the run's folder.",
    )
