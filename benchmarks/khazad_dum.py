"""Environment frames a second of a whole training run on KhazadDum at the published settings.

32 sub-environments × 128 steps an iteration, then all updates of policy and belief, through Lightning's trainer;
no evaluation. The published code makes 1,700 frames a second on the machine of the first measurement.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import pytorch_lightning as pl
import torch
from tensordict import TensorDict
from torch import Tensor

from benchmarks.report import finish
from datamodules import CollectionPlan, RolloutDataModule
from datamodules.collection import Trials
from datamodules.relabeling import NoRelabeler
from datamodules.tasks import CEMTaskSampler, ExponentialFamily
from envs import KhazadDum
from lit_metarl.algorithms import VariBAD

NUM_ENVS, EPISODES = 32, 4
WARM_UP, MEASURED = 5, 60
LEAST_FRAMES_PER_S = 8_500


class TimedData(RolloutDataModule):
    """Sums up the time that collection takes."""

    seconds = 0.0

    def collect(self) -> Trials:
        start = time.perf_counter()
        trials = super().collect()
        self.seconds += time.perf_counter() - start
        return trials


class TimedVariBAD(VariBAD):
    """Sums up the time that either update takes."""

    policy_seconds = 0.0
    belief_seconds = 0.0

    def update_policy(self, sequences: TensorDict, returns: Tensor) -> dict[str, Tensor]:
        start = time.perf_counter()
        scalars = super().update_policy(sequences, returns)
        self.policy_seconds += time.perf_counter() - start
        return scalars

    def update_belief(self, remembered: tuple[Trials, ...]) -> dict[str, Tensor]:
        start = time.perf_counter()
        scalars = super().update_belief(remembered)
        self.belief_seconds += time.perf_counter() - start
        return scalars


class Clock(pl.Callback):
    """Starts once the run is warm."""

    started = 0.0

    def on_train_batch_end(
        self, trainer: Any, pl_module: TimedVariBAD, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx + 1 == WARM_UP:
            trainer.datamodule.seconds = pl_module.policy_seconds = pl_module.belief_seconds = 0.0
            self.started = time.perf_counter()


def main() -> int:
    """Measure and print the result; the exit status."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)  # the networks are small, and a second thread costs more than it gives
    torch.manual_seed(0)
    data = TimedData(
        KhazadDum,
        CEMTaskSampler(ExponentialFamily(), alpha=0.01, selection_share=0.05),
        NoRelabeler(),
        collection=CollectionPlan(NUM_ENVS, EPISODES, iterations=WARM_UP + MEASURED),
    )
    model, clock = TimedVariBAD(data.meta_spec), Clock()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[clock],
    )
    trainer.fit(model, datamodule=data)
    seconds = time.perf_counter() - clock.started
    figures = {
        "frames_per_s": MEASURED * NUM_ENVS * EPISODES * data.meta_spec.horizon / seconds,
        "share_rollout": data.seconds / seconds,
        "share_policy": model.policy_seconds / seconds,
        "share_belief": model.belief_seconds / seconds,
    }
    return finish("khazad_dum", figures, {"frames_per_s": (">=", LEAST_FRAMES_PER_S)})


if __name__ == "__main__":
    sys.exit(main())
