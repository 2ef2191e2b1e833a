"""What does not learn: the share of checkpoints and figures in a training run, and the time to save a large replay."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from benchmarks.replay import EPISODES, TASKS, TRANSITIONS, collect
from benchmarks.report import finish
from datamodules import CollectionPlan, MetaBatchPlan
from datamodules.experience import ReplayExperience
from datamodules.relabeling import NoRelabeler
from datamodules.tasks import SampledTasks
from envs import HalfCheetahVel
from lit_metarl import cli
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.callbacks import TensorBoardFigures
from lit_metarl.checkpoints.data_files import DataWriter

EPOCHS = 10


def shares_of_run(folder: Path) -> tuple[float, float]:
    """Shares of the quickstart's training, in its first epochs, that checkpoints take, and figures with videos."""
    saving, drawing, training = 0.0, 0.0, 0.0
    save, fit_end = pl.Trainer.save_checkpoint, MetaRLModule.on_fit_end

    def timed(self: pl.Trainer, *given: Any, **named: Any) -> None:
        nonlocal saving
        started = time.monotonic()
        save(self, *given, **named)
        saving += time.monotonic() - started

    def ended(self: MetaRLModule) -> None:
        nonlocal drawing, training
        training = self.wall_clock_s
        trainer: Any = self.trainer
        drawing = sum(part.seconds for part in trainer.callbacks if isinstance(part, TensorBoardFigures))
        fit_end(self)

    pl.Trainer.save_checkpoint = timed  # type: ignore[method-assign]
    MetaRLModule.on_fit_end = ended  # type: ignore[method-assign]
    arguments = [
        "--config=configs/quickstart.yaml",
        "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
        f"--trainer.max_epochs={EPOCHS}",
        f"--trainer.logger.init_args.save_dir={folder}",
    ]
    assert cli.main(["fit", *arguments]) == 0
    return saving / training, drawing / training


def million_transitions(folder: Path) -> tuple[float, float]:
    """Seconds to save a full replay for the first time, and again after one more meta-iteration."""
    env = HalfCheetahVel(1)
    generator = torch.Generator().manual_seed(0)
    tasks = SampledTasks(env.task_distribution.sample(TASKS, generator), torch.arange(TASKS))
    plans = CollectionPlan(), MetaBatchPlan()
    experience = ReplayExperience(env, tasks, torch.arange(TASKS), *plans, TRANSITIONS, NoRelabeler(), None, generator)
    while experience.replay.store.written < TRANSITIONS:
        collect(experience.replay, generator)
    writer, times = DataWriter(folder, 0), []
    for _ in range(2):
        started = time.monotonic()
        writer.write(experience)
        times.append(time.monotonic() - started)
        collect(experience.replay, generator)
    print(f"{TASKS * EPISODES * env.meta_spec.horizon:,} transitions were new at the second save", flush=True)
    return times[0], times[1]


def main() -> int:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # a disk, where /tmp may be memory
        first, again = million_transitions(Path(folder) / "million")
        saving, drawing = shares_of_run(Path(folder) / "runs")
    figures = {
        "million_transitions_s": first,
        "next_save_s": again,
        "share_of_run": saving,
        "figures_share": drawing,
    }
    targets = {"million_transitions_s": ("<=", 2.0), "share_of_run": ("<=", 0.05), "figures_share": ("<=", 0.03)}
    return finish("checkpoint", figures, targets)


if __name__ == "__main__":
    sys.exit(main())
