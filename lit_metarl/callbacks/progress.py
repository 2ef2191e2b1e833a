"""Progress on the console: bars on a terminal, one line per evaluation everywhere."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, RichProgressBar
from rich.console import Console
from rich.progress import ProgressColumn, Task, TaskID
from rich.text import Text

from lit_metarl.algorithms import MetaRLModule
from lit_metarl.checkpoints import best_of
from lit_metarl.rollout_data import rollout_data

SHOWN = ("return", "cvar", "return_exploration", "success")
"""Of a validation, in its line; beside what the best checkpoint is chosen by."""


class SpeedColumn(ProgressColumn):
    """The speed of a progress bar, in the unit of its field `unit`."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0.0:,.1f} {task.fields.get('unit', 'it')}/s")


class TimeColumn(ProgressColumn):
    """Time so far, and time left at the mean pace since the first step: a pause between steps does not change it."""

    max_refresh = 0.5  # seconds

    def __init__(self, style: Any) -> None:
        super().__init__()
        self._style = style
        self._first: dict[TaskID, tuple[float, float]] = {}  # steps that were done, and when

    def render(self, task: Task) -> Text:
        now = task.get_time()
        done, since = self._first.get(task.id, (0.0, now))
        if done == 0.0 or task.completed < done:  # it had not begun, or begins anew
            done, since = self._first[task.id] = task.completed, now
        remaining = None
        if task.completed > done and task.total is not None and math.isfinite(task.total):
            remaining = (now - since) / (task.completed - done) * (task.total - task.completed)
        elapsed = task.finished_time if task.finished else task.elapsed
        return Text(f"{_clock(elapsed)} • {_clock(remaining)}", style=self._style)


def _clock(seconds: float | None) -> str:
    return "-:--:--" if seconds is None else str(timedelta(seconds=int(seconds)))


class MetaRLProgressBar(RichProgressBar):
    """Lightning's progress bar, with an additional one for collection.

    Training counts its batches (`it`), validation and test their groups of trials, collection environment steps.

    Args:
        refresh_rate: refreshes a second.

    Attributes:
        tested: what a test is of, as its bar names it.
    """

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate)
        self._collection: TaskID | None = None
        self.tested = "the agent"

    @property
    def test_description(self) -> str:
        """What runs during a test."""
        return f"Testing {self.tested}"

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Lightning's columns, with a steady estimate of the time left and a unit for the speed."""
        *others, _, _ = super().configure_columns(trainer)
        return [*others, TimeColumn(self.theme.time), SpeedColumn()]

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """What is shown beside the bar, without the number of the run's folder."""
        shown = super().get_metrics(trainer, pl_module)
        return {name: value for name, value in shown.items() if name != "v_num"}

    def _get_train_description(self, current_epoch: int) -> str:
        """Epochs are counted from 1, as in the lines of `EvaluationReporter`; Lightning counts from 0."""
        total = self.trainer.max_epochs or -1
        counted = f"Epoch {current_epoch + 1}/{total}" if total > 0 else f"Epoch {current_epoch + 1}"
        return counted.ljust(len(self.validation_description))  # equal lengths do not flicker

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if trainer.is_global_zero:
            rollout_data(trainer).progress = self

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_predict_start(trainer, pl_module)
        if trainer.is_global_zero:
            rollout_data(trainer).progress = self

    def begin(self, description: str, total_steps: int) -> None:
        """Show a bar for collecting `total_steps` environment steps."""
        if self.progress is not None:
            label = f"[{self.theme.description}]Collecting {description}"
            self._collection = self.progress.add_task(label, total=total_steps, unit="steps")

    def advance(self, steps: int) -> None:
        """Advance the collection bar by `steps` environment steps."""
        if self.progress is not None and self._collection is not None:
            self.progress.advance(self._collection, steps)
            self.progress.soft_refresh()  # by the thread that draws, as often as `refresh_rate` allows

    def end(self) -> None:
        """Remove the collection bar."""
        if self.progress is not None and self._collection is not None:
            self.progress.remove_task(self._collection)
            self._collection = None


class EvaluationReporter(Callback):
    """Prints one line per validation during training, so that a log file shows how a run is going."""

    _began: tuple[float, int] | None = None
    """Minutes and epochs after the first epoch of this process, in which initial data are collected."""

    _told: tuple[int, float] = (0, 0.0)
    """Environment steps and seconds at the line before."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, MetaRLModule)
        self._began = None
        self._told = rollout_data(trainer).environment_steps, pl_module.wall_clock_s  # of a run that goes on

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._began is None:
            assert isinstance(pl_module, MetaRLModule)
            self._began = pl_module.wall_clock_s / 60, trainer.current_epoch + 1

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        if trainer.sanity_checking or not metrics or not trainer.is_global_zero:
            return
        data = rollout_data(trainer)
        monitored = getattr(best_of(trainer), "monitor", None) or ""
        shown = dict.fromkeys((*SHOWN, monitored.removeprefix("val/")))
        text = "  ".join(f"{name} {metrics[f'val/{name}']:.2f}" for name in shown if f"val/{name}" in metrics)
        assert isinstance(pl_module, MetaRLModule)
        minutes, done = pl_module.wall_clock_s / 60, trainer.current_epoch + 1
        steps, seconds = data.environment_steps, pl_module.wall_clock_s
        speed = (steps - self._told[0]) / max(seconds - self._told[1], 1e-9)
        self._told = steps, seconds
        total = trainer.max_epochs or -1  # without a limit there is no end to wait for
        began, before = self._began or (0.0, 0)
        pace = (minutes - began) / (done - before)
        left = f"  {pace * (total - done):5.1f} min left" if total > 0 else ""
        Console().print(
            f"epoch {done:4d}  {data.environment_steps:>9,} environment steps  {speed:>6,.0f} steps/s  "
            f"{minutes:5.1f} min{left}  {text}",
            highlight=False,
            soft_wrap=True,
        )
