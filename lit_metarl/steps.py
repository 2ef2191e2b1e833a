"""The unit of a step: meta-steps for Lightning's Trainer and its callbacks, environment steps for loggers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger


def count_meta_steps(trainer: pl.Trainer, number: int) -> None:
    """Set `trainer.global_step` to `number`.

    Under manual optimization Lightning counts the steps of all optimizers: two for PEARL's meta-step,
    `epochs` times `minibatches` for PPO's. `max_steps`, a checkpoint's `every_n_train_steps` and the steps between two
    updates of averaged weights would be counted in that unit (Lightning's issue 17958).
    """
    counted = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.total
    counted.ready = counted.completed = number


class _OnAxis:
    """A logger's `log_metrics` that logs against `axis()`, whatever step it is given.

    It leaves out `epoch`, which Lightning adds to all metrics, also in tests before and after training.
    """

    def __init__(self, write: Callable[..., None], axis: Callable[[], int]) -> None:
        self.write = write
        self._axis = axis

    def __call__(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self.write({name: value for name, value in metrics.items() if name != "epoch"}, self._axis())


def log_against(axis: Callable[[], int], loggers: Iterable[Logger]) -> None:
    """Let `loggers` log every scalar against the value of `axis()` at that moment.

    Lightning's training loop logs against the number of training batches, its evaluation loop against that of
    evaluation batches, and callbacks against either of these or `trainer.global_step`: these share no axis.
    """
    loggers = list(loggers)
    log_as_given(loggers)
    for logger in loggers:
        vars(logger)["log_metrics"] = _OnAxis(logger.log_metrics, axis)


def log_as_given(loggers: Iterable[Logger]) -> None:
    """Let `loggers` log against the steps that they are given again."""
    for logger in loggers:
        if isinstance(logger.log_metrics, _OnAxis):
            vars(logger)["log_metrics"] = logger.log_metrics.write


def log_at(step: int, scalars: dict[str, float], loggers: Iterable[Logger]) -> None:
    """Log `scalars` against `step`, also with loggers that log against another axis."""
    for logger in loggers:
        log = logger.log_metrics
        (log.write if isinstance(log, _OnAxis) else log)(scalars, step)
