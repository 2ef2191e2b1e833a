"""Refuses arguments and callbacks of the Trainer that have no effect here, or another one than documented."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.callbacks import (
    BatchSizeFinder,
    Callback,
    DeviceStatsMonitor,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
    StochasticWeightAveraging,
)

from datamodules import RolloutDataModule
from datamodules.contracts import Agent
from envs.errors import require
from lit_metarl.checkpoints import ExactResume, LastCheckpoint, RunCheckpoint

CLIPPING = "Leave it out; algorithms that clip have model.init_args.ppo.max_grad_norm (VariBAD, RL2, MAML)."
CHECKPOINT_KEYS: dict[type[ModelCheckpoint], str] = {RunCheckpoint: "checkpoint", LastCheckpoint: "last_checkpoint"}
UNUSABLE: dict[type[Callback], tuple[str, str]] = {
    GradientAccumulationScheduler: (
        "an algorithm takes its own optimizer steps, which cannot be delayed",
        "Use larger batches (data.batches).",
    ),
    StochasticWeightAveraging: (
        "it schedules the learning rate, which the algorithm sets, and the best checkpoint would not hold the averages",
        "Use pytorch_lightning.callbacks.WeightAveraging or EMAWeightAveraging.",
    ),
    BatchSizeFinder: ("there is no batch size to find", "Set data.batches."),
    LearningRateFinder: (
        "the algorithm sets its learning rates, and its losses do not show which one is good",
        "Set model.init_args.learning_rate.",
    ),
}
"""Callbacks of Lightning that cannot work here: why, and what to use instead."""


def check_trainer(trainer: pl.Trainer, data: RolloutDataModule, agent: Agent, fits: bool) -> None:
    """Refuse what would have no effect in a run, or another one than documented.

    Args:
        trainer: of the run.
        data: its data side.
        agent: the algorithm.
        fits: whether the run trains.

    Raises:
        ConfigurationError: naming the argument.
    """
    # Collected data are float32. Within a training step, mixed precision keeps its casts of the weights from before
    # the first of several optimizer steps.
    key = "trainer.precision"
    require(trainer.precision == "32-true", key, trainer.precision, "it must be 32-true", "Leave it out.")
    if fits:
        _check_lengths(trainer, data, data.batches_per_epoch(agent))
        _check_optimization(trainer)
        _check_callbacks(trainer)
        require(
            trainer.limit_val_batches != 0 or not data.task_sampler.compares_with_validation,
            "trainer.limit_val_batches",
            trainer.limit_val_batches,
            "the task sampler compares the returns of training trials with those of validations",
            "Leave it out, or use another reference_mode.",
        )


def check_restores_experience(trainer: pl.Trainer) -> None:
    """Raise a `ConfigurationError` if a run would continue from a checkpoint without the collected data."""
    require(
        any(isinstance(callback, ExactResume) for callback in _callbacks(trainer)),
        "ckpt_path",
        str(trainer.ckpt_path),
        "the Trainer does not restore the collected data, and the run would continue with an empty replay",
        "Give the callback lit_metarl.checkpoints.ExactResume() both to the Trainer that saves and to the one that "
        "resumes; to start a new run from the weights alone, use lit_metarl.checkpoints.load_initial_weights.",
    )


def check_weights_are_single(module: torch.nn.Module) -> None:
    """Raise a `ConfigurationError` unless all weights of an algorithm are float32, as the collected data are."""
    other = next((weight.dtype for weight in module.parameters() if weight.dtype != torch.float32), None)
    require(
        other is None,
        f"weights of {type(module).__name__}",
        other,
        "they must be torch.float32",
        "Create it under torch.set_default_dtype(torch.float32), which is torch's default, and do not convert it.",
    )


def _check_lengths(trainer: pl.Trainer, data: RolloutDataModule, batches: int) -> None:
    """Refuse a run without training, and settings that do not fit an epoch of `batches` meta-steps."""
    for name in ("max_epochs", "max_steps", "limit_train_batches"):
        value = getattr(trainer, name)
        require(value != 0, f"trainer.{name}", value, "nothing would be trained", "Leave it out, or raise it.")
    least, most = trainer.min_epochs, trainer.max_epochs
    require(
        least is None or most in (None, -1) or least <= most,
        "trainer.min_epochs",
        least,
        f"the run ends after trainer.max_epochs = {most}",
        "Raise trainer.max_epochs.",
    )
    untyped: Any = trainer
    require(
        untyped.overfit_batches == 0,
        "trainer.overfit_batches",
        untyped.overfit_batches,
        "no batch is used twice, since every meta-step samples its own",
        "Use trainer.limit_train_batches for fewer meta-steps per epoch, or trainer.fast_dev_run for a trial run.",
    )
    limit = trainer.limit_train_batches
    made = int(limit * batches) if isinstance(limit, float) else min(limit, batches)
    every = getattr(trainer, "val_check_interval", None)  # there is none where it is a time
    if isinstance(every, int) and not isinstance(every, bool):
        across = trainer.check_val_every_n_epoch is None  # then it counts on from epoch to epoch
        require(
            every >= 1 and (across or every <= made or trainer.limit_val_batches == 0),
            "trainer.val_check_interval",
            every,
            f"an epoch has {made} meta-steps",
            "Use trainer.check_val_every_n_epoch to count epochs, or set it to null to count meta-steps across epochs.",
        )
    require(
        untyped.log_every_n_steps >= 0,
        "trainer.log_every_n_steps",
        untyped.log_every_n_steps,
        "it must be 0 (never) or more",
        "Correct it.",
    )
    for name, limit in (("train", trainer.limit_train_batches), ("val", trainer.limit_val_batches)):
        if isinstance(limit, float) and 0.0 < limit < 1.0:
            number = batches if name == "train" else len(data.val_dataloader())
            require(
                int(limit * number) >= 1,
                f"trainer.limit_{name}_batches",
                limit,
                f"there are {number} batches, and this share of them is less than one",
                "Raise it, or give a whole number.",
            )


def _check_optimization(trainer: pl.Trainer) -> None:
    """Refuse what needs Lightning's automatic optimization."""
    untyped: Any = trainer
    accumulated, clipped = untyped.accumulate_grad_batches, untyped.gradient_clip_val
    reason, hint = UNUSABLE[GradientAccumulationScheduler]
    require(accumulated == 1, "trainer.accumulate_grad_batches", accumulated, reason, hint)
    reason = "an algorithm clips its own gradients, or does not clip them"
    require(clipped in (None, 0), "trainer.gradient_clip_val", clipped, reason, CLIPPING)
    how = getattr(untyped.gradient_clip_algorithm, "value", None)
    require(how is None, "trainer.gradient_clip_algorithm", how, reason, CLIPPING)


def _check_callbacks(trainer: pl.Trainer) -> None:
    for callback in _callbacks(trainer):
        if isinstance(callback, ModelCheckpoint):
            _check_checkpoint(callback)
        for kind, (reason, hint) in UNUSABLE.items():
            require(not isinstance(callback, kind), "trainer.callbacks", kind.__name__, reason, hint)
        require(
            not isinstance(callback, DeviceStatsMonitor)
            or not isinstance(trainer.accelerator, CPUAccelerator)
            or find_spec("psutil") is not None,
            "trainer.callbacks",
            "DeviceStatsMonitor",
            "on a CPU it needs the package psutil",
            "Install it: pip install psutil",
        )


def _check_checkpoint(callback: ModelCheckpoint) -> None:
    """Refuse a checkpoint that would never be written, or with a score that is not that of its weights."""
    untyped: Any = callback
    key = CHECKPOINT_KEYS.get(type(callback), "trainer.callbacks.init_args")
    interval, steps = untyped._train_time_interval, untyped._every_n_train_steps
    require(
        interval is None,
        f"{key}.train_time_interval",
        interval,
        "Lightning has none under manual optimization, and no checkpoint would be written",
        "Use every_n_epochs, or for the last checkpoint every_n_train_steps.",
    )
    require(
        not steps or not (callback.monitor or "").startswith("val/"),
        f"{key}.every_n_train_steps",
        steps,
        f"the last {callback.monitor} would be that of earlier weights",
        "Leave it out: a checkpoint is written after every validation.",
    )
    if isinstance(callback, LastCheckpoint):
        for name, value, wanted in (
            ("monitor", callback.monitor, None),
            ("save_weights_only", callback.save_weights_only, False),
        ):
            require(value == wanted, f"{key}.{name}", value, "training could not be resumed from it", "Leave it out.")
    require(
        not isinstance(callback, RunCheckpoint) or not untyped.save_on_exception,
        f"{key}.save_on_exception",
        True,
        "what an exception leaves behind, in the middle of a step, would take the place of a good checkpoint",
        "Leave it out: a signal to stop saves by itself.",
    )


def _callbacks(trainer: pl.Trainer) -> list[Callback]:
    untyped: Any = trainer
    return list(untyped.callbacks)
