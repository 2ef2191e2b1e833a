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

from datamodules import ranks
from envs.errors import NonFiniteError
from lit_metarl.checkpoints.interruption import Interrupted, StopRequest

COUNTERS = ("step", "epoch")
"""What a checkpoint callback may monitor beside the metrics."""


def best_of(trainer: pl.Trainer) -> RunCheckpoint | None:
    """The one that keeps a run's best checkpoint; None in a run without checkpoints."""
    untyped: Any = trainer
    return next((callback for callback in untyped.callbacks if type(callback) is RunCheckpoint), None)


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
    can be written when an epoch is over.
    """

    _validated = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._validated or not (self.monitor or "").startswith("val/"):
            super().on_train_epoch_end(trainer, pl_module)
        self._validated = False

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        # The last good checkpoint is better than a broken one, and one rank cannot write a checkpoint alone.
        if not isinstance(exception, NonFiniteError) and ranks.world_size() == 1:
            super().on_exception(trainer, pl_module, exception)

    def _remove_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
        """Remove a checkpoint before any rank writes files for the next one."""
        super()._remove_checkpoint(trainer, filepath)
        trainer.strategy.barrier()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the scores of those checkpoints that are still there."""
        kept = {path: score for path, score in state_dict["best_k_models"].items() if Path(path).is_file()}
        if self.monitor is not None and len(kept) < len(state_dict["best_k_models"]):
            choose = min if self.mode == "min" else max
            best = choose(kept, key=lambda path: kept[path], default="")
            state_dict = {
                **state_dict,
                "best_k_models": kept,
                "best_model_path": best,
                "best_model_score": kept.get(best),
                "kth_best_model_path": "",
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
        if not trainer.is_last_batch:  # then validation may follow, and the end of the epoch will do
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

    def _save(self, trainer: pl.Trainer) -> None:
        candidates = self._monitor_candidates(trainer)
        if self.save_top_k == 0:
            self._save_checkpoint(trainer, self.format_checkpoint_name(candidates))
        else:
            self._save_topk_checkpoint(trainer, candidates)

    def _heed_requeue(self) -> None:
        if self._requeue is not None and ranks.largest(int(self._requeue_asked)):
            self._requeue_asked = False
            self._requeue()

    def _leave(self) -> None:
        """Raise `Interrupted` if the run was asked to stop."""
        number = self._stop.agreed()
        if number is not None and self._last_checkpoint_saved:
            raise Interrupted(number, Path(self._last_checkpoint_saved))
