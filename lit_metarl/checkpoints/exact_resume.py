"""Everything that a checkpoint needs besides what Lightning saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.io import TorchCheckpointIO
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_warn

from datamodules import ranks
from envs.errors import require
from lit_metarl.checkpoints import data_files, manifest
from lit_metarl.checkpoints.checkpoint_io import ManifestCheckpointIO
from lit_metarl.checkpoints.data_files import DataWriter
from lit_metarl.checkpoints.errors import UnusableCheckpoint
from lit_metarl.checkpoints.keeping import best_of
from lit_metarl.rollout_data import rollout_data

CONFIGURATION = "configuration"


def checkpoint_folder(trainer: pl.Trainer) -> Path:
    """Where a run writes its checkpoints."""
    callback = best_of(trainer) or trainer.checkpoint_callback
    return Path(getattr(callback, "dirpath", None) or Path(trainer.default_root_dir) / "checkpoints")


class ExactResume(Callback):
    """Saves the collected experience beside every checkpoint, and restores it when a run is resumed.

    Args:
        configuration: of the run, as primitives; saved in its checkpoints.

    Attributes:
        before: results of the untrained agent, which a resumed run can no longer measure.
    """

    def __init__(self, configuration: dict[str, Any] | None = None) -> None:
        self._configuration = configuration or {}
        self.before: dict[str, float] = {}
        self._writer: DataWriter | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = ManifestCheckpointIO()
        if stage != TrainerFn.FITTING:
            return
        self._writer = None  # of another run
        files = trainer.strategy.checkpoint_io
        require(
            isinstance(files, ManifestCheckpointIO),
            "trainer.plugins",
            type(files).__name__,
            "it would write checkpoints without the collected data, from which training cannot be resumed",
            "Leave it out.",
        )

    def state_dict(self) -> dict[str, Any]:
        return {"before": self.before}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.before = state_dict["before"]

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[CONFIGURATION] = self._configuration
        files = trainer.strategy.checkpoint_io
        if not isinstance(files, ManifestCheckpointIO):
            return
        if trainer.state.fn != TrainerFn.FITTING:
            rank_zero_warn(
                "This checkpoint holds the weights only, for the Trainer was last used for something else than "
                "training. To resume training from it, save it right after fit."
            )
            return
        folder = checkpoint_folder(trainer)
        if self._writer is None:
            self._writer = DataWriter(folder, trainer.global_rank)
        with ranks.failing_together():
            written = self._writer.write(rollout_data(trainer).experience)
        # Rank 0 receives the files of all ranks after they are written, and then writes manifest and checkpoint.
        files.data_folder, files.data_files = folder, ranks.gather_objects(written)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            return
        data, path = rollout_data(trainer), Path(str(trainer.ckpt_path))
        found = whole(path, check_files=False)
        ranks.require_as_many(found.ranks)
        data_files.restore(data.experience, path, [file for file in found.files if file.rank == trainer.global_rank])


def whole(checkpoint: Path, check_files: bool = True) -> manifest.Manifest:
    """The manifest of a checkpoint that a run can be resumed from.

    Raises:
        UnusableCheckpoint: naming the file, if anything is missing or damaged.
    """
    found = manifest.find(checkpoint)
    if found is None:
        raise UnusableCheckpoint(
            checkpoint,
            "its data are not beside it (no replay/*.manifest.json), so training cannot be resumed from it",
            "It serves validate, test and predict. To resume, give the checkpoint in the folder that the run wrote.",
        )
    if found.ranks == 0:
        raise UnusableCheckpoint(checkpoint, "it holds the weights only, so training cannot be resumed from it")
    if check_files:
        found.check_files(checkpoint)
    return found
