"""Logs the configuration as hyper-parameters, with the results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

PARTS = ("seed_everything", "model", "data")


class HyperParameters(Callback):
    """Logs the configuration; with TensorBoard at the end, because it needs the results too.

    Args:
        configuration: the run's configuration, as primitives.
    """

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self._parameters = {name: configuration[name] for name in PARTS if name in configuration}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(dict(self._parameters))

    def log_results(self, trainer: pl.Trainer, results: Mapping[str, float], step: int) -> None:
        """Log the configuration and the final `results` with TensorBoard, at `step` environment steps."""
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(dict(self._parameters), dict(results), step)
                logger.save()
