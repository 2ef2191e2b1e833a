"""The one way from the Trainer to a run's data side."""

from __future__ import annotations

import pytorch_lightning as pl

from datamodules import RolloutDataModule
from envs.errors import ConfigurationError


def rollout_data(trainer: pl.Trainer) -> RolloutDataModule:
    """The DataModule that a run was started with.

    Raises:
        ConfigurationError: if it is none of ours.
    """
    data = getattr(trainer, "datamodule", None)  # Lightning sets the attribute only if it was given one
    if not isinstance(data, RolloutDataModule):
        called = getattr(trainer.state.fn, "value", "fit")
        raise ConfigurationError(
            "datamodule",
            type(data).__name__,
            "a meta-RL algorithm gets its data from a RolloutDataModule",
            f"Use trainer.{called}(model, datamodule=data).",
        )
    return data
