"""Figures in TensorBoard."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from datamodules import RolloutDataModule
from datamodules.experience import ReplayExperience
from datamodules.relabeling import ProbabilisticRelabeler
from lit_metarl.figures import draw_flow


class TensorBoardFigures(Callback):
    """Draws what happened since the run began, after every validation during training."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = getattr(trainer, "datamodule", None)
        logger = next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)
        if logger is None or not isinstance(data, RolloutDataModule) or trainer.state.fn != "fit":
            return
        if not trainer.is_global_zero:  # the figures are of its part of the replay
            return
        experience = data.experience
        if isinstance(experience, ReplayExperience) and isinstance(experience.relabeler, ProbabilisticRelabeler):
            figure = draw_flow(experience.relabeler.flow, experience.replay.tasks, data.world.task_names)
            logger.experiment.add_figure("relabel/collected_for_kept_for", figure, data.environment_steps)
