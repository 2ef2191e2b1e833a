"""Progress on the console: bars on a terminal, one line an evaluation everywhere."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, RichProgressBar
from rich.console import Console
from rich.progress import TaskID

from datamodules import RolloutDataModule
from lit_metarl.algorithms import MetaRLModule


class MetaRLProgressBar(RichProgressBar):
    """Lightning's progress bar, with a bar for collection too, which happens between its own.

    Args:
        refresh_rate: refreshes a second.
    """

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate)
        self._collection: TaskID | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, RolloutDataModule) and trainer.is_global_zero:
            data.progress = self

    def begin(self, description: str, total_steps: int) -> None:
        """Show a bar for collecting `total_steps` environment steps."""
        if self.progress is not None:
            self._collection = self._add_task(total_steps, f"Collecting {description}")

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
    """Prints one line a validation, so that a log file tells how a run goes."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        figures = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        if trainer.sanity_checking or not figures or not trainer.is_global_zero:
            return
        data = getattr(trainer, "datamodule", None)
        assert isinstance(data, RolloutDataModule)
        shown = ("return", "cvar", "return_exploration", "success")
        text = "  ".join(f"{name} {figures[f'val/{name}']:.2f}" for name in shown if f"val/{name}" in figures)
        assert isinstance(pl_module, MetaRLModule)
        minutes = pl_module.wall_clock_s / 60
        Console().print(
            f"iteration {trainer.current_epoch + 1:4d}  {data.environment_steps:>9,} environment steps  "
            f"{minutes:5.1f} min  {text}",
            highlight=False,
            soft_wrap=True,
        )
