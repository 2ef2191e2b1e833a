"""Which checkpoints a run keeps: the best one, and the last one, to resume from."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_warn

from datamodules import ranks
from lit_metarl.checkpoints.interruption import Interrupted, StopRequest

COUNTERS = ("step", "epoch")
"""What a checkpoint callback may monitor beside the metrics."""


def best_of(trainer: pl.Trainer) -> RunCheckpoint | None:
    """The one that keeps a run's best checkpoint; None in a run without checkpoints."""
    untyped: Any = trainer
    return next((callback for callback in untyped.callbacks if type(callback) is RunCheckpoint), None)


def last_of(trainer: pl.Trainer) -> Path | None:
    """The last checkpoint that a run wrote to be resumed from; None if it has none yet."""
    untyped: Any = trainer
    paths = (callback._last_checkpoint_saved for callback in untyped.callbacks if isinstance(callback, LastCheckpoint))
    return next((Path(path) for path in paths if path), None)


def chosen_by(trainer: pl.Trainer) -> str:
    """Why the best checkpoint is the best, for a reader."""
    callback = best_of(trainer)
    if callback is None or callback.monitor in (None, *COUNTERS):
        return "the last one"
    score = callback.best_model_score
    return f"the best by {callback.monitor} ({math.nan if score is None else float(score):.2f})"


class RunCheckpoint(ModelCheckpoint):
    """Lightning's checkpoint, for runs that are resumed exactly.

    A resumed run, which writes into a new folder, remembers the scores of the one before. What is
    monitored counts in the epoch that it was measured in, not in later ones; so a checkpoint
    can be written when an epoch is over. Where validations come within an epoch, it is written after each.
    """

    _validated = False
    _postponed = False
    _resumed_from: Path | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if self._save_on_train_epoch_end is None:
            self._save_on_train_epoch_end = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        every = trainer.val_check_batch  # none where it is a time
        within_epochs = trainer.check_val_every_n_epoch is None or every is None or every < trainer.num_training_batches
        if within_epochs and (self.monitor or "").startswith("val/"):
            self._save_on_train_epoch_end = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save every so many steps if asked; after an epoch's last one, only when the epoch is over."""
        every = self._every_n_train_steps
        if trainer.is_last_batch:  # a run that is resumed from here would miss the validation
            self._postponed = every > 0 and trainer.global_step % every == 0
        else:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._validated or not (self.monitor or "").startswith("val/"):
            super().on_train_epoch_end(trainer, pl_module)
        if self._postponed:
            self._save(trainer)
        self._validated = self._postponed = False

    def _save(self, trainer: pl.Trainer) -> None:
        candidates = self._monitor_candidates(trainer)
        if self.save_top_k == 0:
            self._save_checkpoint(trainer, self.format_checkpoint_name(candidates))
        else:
            self._save_topk_checkpoint(trainer, candidates)

    def _remove_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
        """Remove a checkpoint before any rank writes files for the next one."""
        super()._remove_checkpoint(trainer, filepath)
        trainer.strategy.barrier()

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        fits = trainer.state.fn == TrainerFn.FITTING
        self._resumed_from = Path(str(trainer.ckpt_path)).parent if fits else None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the scores of those checkpoints that are still there, or were moved with the one resumed from."""
        kept = {}
        for path, score in state_dict["best_k_models"].items():
            places = [Path(path)] if self._resumed_from is None else [Path(path), self._resumed_from / Path(path).name]
            found = next((place for place in places if place.is_file()), None)
            if found is not None:
                kept[path if found == Path(path) else str(found)] = score
            elif self.monitor is not None and self._resumed_from is not None:
                rank_zero_warn(f"{path}, so far the best by {self.monitor}, is not there any more: it is forgotten.")
        if self.monitor is not None and kept != state_dict["best_k_models"]:
            from_worst = sorted(kept, key=lambda path: kept[path], reverse=self.mode == "min") or [""]
            worst, best = from_worst[0], from_worst[-1]
            state_dict = {
                **state_dict,
                "best_k_models": kept,
                "best_model_path": best,
                "best_model_score": kept.get(best),
                "kth_best_model_path": worst,
                "kth_value": kept.get(worst),
            }
        super().load_state_dict({**state_dict, "dirpath": self.dirpath})
        self.current_score = state_dict["current_score"]


class LastCheckpoint(RunCheckpoint):
    """Saves after every epoch, and on a signal to stop: then after the current step.

    SLURM's signal to requeue also waits for that moment; Lightning does the rest. Whichever rank a signal
    comes to, all ranks heed it after the same step.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._stop = StopRequest()
        self._stop.listen()
        self._requeue: Callable[[], Any] | None = None
        self._requeue_asked = False
        environment = trainer._accelerator_connector.cluster_environment
        if isinstance(environment, SLURMEnvironment) and environment.auto_requeue:
            number = environment.requeue_signal or signal.SIGUSR1
            requeue = signal.getsignal(number)

            def later(received: int, frame: FrameType | None) -> None:
                self._requeue_asked = True

            if callable(requeue):
                self._requeue = partial(requeue, number, None)
                signal.signal(number, later)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        # Where a validation follows, one more step may be made, or the end of the epoch will do.
        if not trainer.is_last_batch and not _validates_next(trainer, batch_idx):
            self._heed_requeue()
            if self._stop.agreed() is not None:
                self._save(trainer)
                self._leave()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        self._heed_requeue()
        if self._stop.agreed() is not None and self._last_global_step_saved != trainer.global_step:
            self._save(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._leave()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        self._leave()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what is missing where a crash came between the last epoch's best checkpoint and this one."""
        resumed_from = Path(trainer.ckpt_path or "").stem
        if resumed_from and resumed_from != self.filename and not self._last_checkpoint_saved:
            self._save(trainer)

    def _heed_requeue(self) -> None:
        if self._requeue is not None and ranks.largest(int(self._requeue_asked)):
            self._requeue_asked = False
            self._requeue()

    def _leave(self) -> None:
        """Raise `Interrupted` if the run was asked to stop."""
        number = self._stop.agreed()
        if number is not None and self._last_checkpoint_saved:
            raise Interrupted(number, Path(self._last_checkpoint_saved))


def _validates_next(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether a validation may come right after this batch."""
    before = batch_idx if trainer.check_val_every_n_epoch is not None else trainer.fit_loop.total_batch_idx
    every = trainer.val_check_batch  # none where it is a time
    return every is not None and (before + 1) % every == 0
