"""Logs what a run was started with, beside its results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from lit_metarl.naming import class_name, environment_name

PARTS = ("seed_everything", "model", "data")
ELSEWHERE = ("name", "seed_everything", "ckpt_path", "trainer.logger", "figures", "checkpoint", "last_checkpoint")
"""Beginnings of typed keys that are no hyper-parameters, or have a column already."""


class HyperParameters(Callback):
    """Logs the configuration; with TensorBoard at the end, in few columns, because it shows them with the results.

    Args:
        configuration: the run's configuration, as primitives.
        typed: by key, what was given on the command line.
    """

    def __init__(self, configuration: Mapping[str, Any], typed: Mapping[str, Any]) -> None:
        self._parameters = {name: configuration[name] for name in PARTS if name in configuration}
        self._columns = {**_parts(configuration), **_changes(typed)}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(dict(self._parameters))

    def log_results(self, trainer: pl.Trainer, results: Mapping[str, float], step: int) -> None:
        """Log parts, seed and changes with the final `results` with TensorBoard, at `step` environment steps."""
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(dict(self._columns), dict(results), step)
                logger.save()


def _parts(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The classes that a run is composed of, and its seed."""
    data = configuration["data"]
    return {
        "environment": environment_name(data["env"]),
        "algorithm": class_name(configuration["model"]),
        "sampler": class_name(data["task_sampler"]),
        "relabeler": class_name(data["relabeler"]),
        "seed": str(configuration["seed_everything"]),  # TensorBoard shows numbers with four decimals
    }


def _changes(typed: Mapping[str, Any]) -> dict[str, Any]:
    """What was given on the command line, by short keys; TensorBoard sorts them, so `with` puts them last."""
    return {
        f"with {key.replace('init_args.', '')}": value if isinstance(value, (bool, int, float, str)) else str(value)
        for key, value in typed.items()
        if not key.startswith(ELSEWHERE)
    }
