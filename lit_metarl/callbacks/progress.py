"""Progress on the console: bars on a terminal, one line an evaluation everywhere."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, RichProgressBar
from rich.console import Console
from rich.progress import ProgressColumn, Task, TaskID
from rich.text import Text

from datamodules import RolloutDataModule
from lit_metarl.algorithms import MetaRLModule


class SpeedColumn(ProgressColumn):
    """How fast a task of the progress bar goes, in units that its field `unit` names."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0.0:,.1f} {task.fields.get('unit', 'it')}/s")


class MetaRLProgressBar(RichProgressBar):
    """Lightning's progress bar, with a bar for collection too, which happens between its own.

    Training counts its batches (`it`), validation and test their groups of trials, collection environment steps.

    Args:
        refresh_rate: refreshes a second.
    """

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate)
        self._collection: TaskID | None = None

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Lightning's columns, with a unit to the speed."""
        *others, _ = super().configure_columns(trainer)
        return [*others, SpeedColumn()]

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
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, RolloutDataModule) and trainer.is_global_zero:
            data.progress = self

    def begin(self, description: str, total_steps: int) -> None:
        """Show a bar for collecting `total_steps` environment steps."""
        if self.progress is not None:
            label = f"[{self.theme.description}]Collecting {description}"
            self._collection = self.progress.add_task(label, total=total_steps, unit="steps")

    def advance(self, steps: int) -> None:
        """Move the collection bar on by `steps` environment steps."""
        if self.progress is not None and self._collection is not None:
            self.progress.advance(self._collection, steps)

    def end(self) -> None:
        """Take the collection bar away."""
        if self.progress is not None and self._collection is not None:
            self.progress.remove_task(self._collection)
            self._collection = None


class EvaluationReporter(Callback):
    """Prints one line a validation of training, so that a log file tells how a run goes."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        figures = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        if trainer.sanity_checking or not figures or not trainer.is_global_zero:
            return
        data = getattr(trainer, "datamodule", None)
        assert isinstance(data, RolloutDataModule)
        shown = ("return", "cvar", "return_exploration", "success")
        text = "  ".join(f"{name} {figures[f'val/{name}']:.2f}" for name in shown if f"val/{name}" in figures)
        assert isinstance(pl_module, MetaRLModule)
        minutes, done = pl_module.wall_clock_s / 60, trainer.current_epoch + 1
        speed = data.environment_steps / max(pl_module.wall_clock_s, 1e-9)
        total = trainer.max_epochs or -1  # without a limit there is no end to wait for
        left = f"  {minutes / done * (total - done):5.1f} min left" if total > 0 else ""
        Console().print(
            f"iteration {done:4d}  {data.environment_steps:>9,} environment steps  {speed:>6,.0f} steps/s  "
            f"{minutes:5.1f} min{left}  {text}",
            highlight=False,
            soft_wrap=True,
        )
