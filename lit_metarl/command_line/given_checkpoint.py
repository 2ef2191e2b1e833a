"""The checkpoint that a command starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from envs.errors import ConfigurationError, require
from lit_metarl.checkpoints import (
    CONFIGURATION,
    LAST,
    ExactResume,
    check_configuration,
    folders_of_runs,
    newest_whole,
    read_checkpoint,
    shapes_of,
    whole,
)
from lit_metarl.command_line.messages import tell
from lit_metarl.naming import expanded

REQUEUED = "hpc"  # Lightning's word for the checkpoint of a job that SLURM requeued
RESUME_KEYWORDS = (LAST, REQUEUED)  # these are found once the run's folder is known


@dataclass(frozen=True)
class GivenCheckpoint:
    """A checkpoint that can be read.

    Attributes:
        path: of the `.ckpt`.
        configuration: that it was written under; empty if it does not say.
        shapes: of its weights, by name.
    """

    path: Path
    configuration: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]


def open_checkpoint(path: Path, resuming: ExactResume | None, configuration: dict[str, Any]) -> GivenCheckpoint:
    """Read a checkpoint.

    Args:
        path: of the `.ckpt`.
        resuming: the callback that resumes training from it, which gets its state; None if nothing is trained.
        configuration: of this command.

    Raises:
        ConfigurationError: if it is not a checkpoint, or training cannot resume from it.
    """
    content = read_checkpoint(path)
    saved: dict[str, Any] = content.get(CONFIGURATION, {})
    if resuming is not None:
        whole(path)
        check_configuration(path, saved, configuration)
        _check_goes_on(path, int(content["epoch"]), configuration["trainer"]["max_epochs"] or -1)
        resuming.load_state_dict(content["callbacks"][resuming.state_key])
    return GivenCheckpoint(path, saved, shapes_of(content["state_dict"]))


def _check_goes_on(path: Path, epoch: int, max_epochs: int) -> None:
    """Refuse a checkpoint from after the end of this run, before the run has a folder."""
    if 0 < max_epochs < epoch:
        reason = f"it is of epoch {epoch + 1}, and the run ends after trainer.max_epochs = {max_epochs}"
        hint = f"Train on with --trainer.max_epochs {2 * (epoch + 1)}."
        raise ConfigurationError("ckpt_path", str(path), reason, hint)


def was_requeued(folder: Path | str | None) -> bool:
    """Whether SLURM runs this command, and a job of it has left a checkpoint in `trainer.default_root_dir`."""
    return SLURMEnvironment.detect() and any(Path(expanded(str(folder or ""))).glob("hpc_ckpt_*.ckpt"))


def find_checkpoint(keyword: str, trainer: pl.Trainer, run_folder: Path, last_folder: str | None) -> Path | None:
    """The checkpoint that a keyword of `ckpt_path` stands for; None to start afresh.

    Args:
        keyword: one of `RESUME_KEYWORDS`.
        trainer: of the run.
        run_folder: where the run writes.
        last_folder: where last checkpoints are kept; None for below the runs' folders.

    Raises:
        ConfigurationError: if there is no checkpoint of a requeued job, none of the newest run's is whole, or it is not
            known where a run's are.
    """
    if keyword == REQUEUED:
        return _find_requeued(trainer)
    logger = trainer.logger
    require(
        last_folder is not None or logger is None or isinstance(logger, (TensorBoardLogger, CSVLogger)),
        "ckpt_path",
        keyword,
        f"where earlier runs of {type(logger).__name__} keep their checkpoints is not known",
        "Give a path, or --last_checkpoint.dirpath to this run and the one before.",
    )
    return _find_last([Path(last_folder)] if last_folder else folders_of_runs(run_folder / "checkpoints"))


def _find_last(folders: list[Path]) -> Path | None:
    """The newest whole checkpoint in the first of the folders that has any."""
    folder = next((folder for folder in folders if any(folder.glob("*.ckpt"))), None)
    if folder is None:
        tell("There is no checkpoint to resume from yet: the run starts afresh.")
        return None
    choice = newest_whole(folder)
    for refused in choice.refused:
        tell(f"warning: {refused.path} is passed over: {refused.reason}.")
    assert choice.checkpoint is not None
    tell(f"Resuming from {choice.checkpoint}.")
    return choice.checkpoint


def _find_requeued(trainer: pl.Trainer) -> Path:
    """The checkpoint of a job that SLURM requeued."""
    path = trainer._checkpoint_connector._hpc_resume_path
    if path is None:
        folder = trainer.default_root_dir
        reason = f"no job that SLURM requeues has left an hpc_ckpt_N.ckpt in {folder} (trainer.default_root_dir)"
        hint = f"Give a path, {LAST} for the newest checkpoint of a run, or leave it out to start afresh."
        raise ConfigurationError("ckpt_path", REQUEUED, reason, hint)
    return Path(path)
