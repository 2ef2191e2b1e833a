"""Warns of a task sampler that will not do in a run what it is there for."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn

from datamodules import RolloutDataModule

SECTION = "data.task_sampler.init_args"


def warn_of_task_sampler(trainer: pl.Trainer, data: RolloutDataModule, cvar_alpha: float) -> None:
    """Warn if the sampler would never act, or raises the returns of another share of tasks than CVaR is reported of.

    Args:
        trainer: of the run.
        data: its data side.
        cvar_alpha: share of worst tasks that CVaR is reported of.
    """
    sampler, epochs = data.task_sampler, trainer.max_epochs or -1
    name, wait, tail = type(sampler).__name__, sampler.waits_for, sampler.tail_share
    trials = epochs * data.collection.iterations * data.collection.tasks_per_iteration
    if wait is not None and 0 < trials <= wait.trials:
        rank_zero_warn(
            f"{name} samples from the reference distribution until it has learned from {wait.trials:,} trials, and "
            f"this run has {trials:,}: it changes nothing. Lower {SECTION}.{wait.setting}, or train longer."
        )
    if tail is not None and tail != cvar_alpha:
        rank_zero_warn(
            f"{name} is to raise the returns of the worst {100 * tail:g} % of tasks, and CVaR is reported of the worst "
            f"{100 * cvar_alpha:g} %. Give {SECTION}.alpha and model.init_args.cvar_alpha the same value."
        )
