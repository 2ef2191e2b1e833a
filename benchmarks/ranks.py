"""Collection and training throughput of two ranks against one, on the same totals with the quickstart's sizes.

Every rank has one thread. With two ranks, each runs half of the trials and computes half of every gradient, so 2 is
the best that there is.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import finish
from datamodules import RolloutDataModule
from lit_metarl import cli
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.command_line import subcommands
from lit_metarl.command_line.run import Run
from tests.ranks import in_ranks

EPOCHS = 4
ARGUMENTS = [
    "fit",
    "--config=configs/quickstart.yaml",
    "--threads=1",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.limit_val_batches=0",
    f"--trainer.max_epochs={EPOCHS}",
    "--data.evaluation.test_tasks=2",
    "--data.evaluation.num_envs=1",
]


def timed(owner: type, name: str, seconds: list[float]) -> None:
    """Add the duration of every call of a method to `seconds`."""
    original: Callable[..., Any] = getattr(owner, name)

    def call(*given: Any, **named: Any) -> Any:
        started = time.perf_counter()
        result = original(*given, **named)
        seconds.append(time.perf_counter() - started)
        return result

    setattr(owner, name, call)


def measured(number: int, folder: Path) -> tuple[float, float]:
    """Environment steps and gradient steps a second, of all ranks together."""
    record = folder / f"measured_{number}"

    def train(rank: int) -> int:
        collecting: list[float] = []
        learning: list[float] = []
        timed(RolloutDataModule, "run_trials", collecting)
        timed(MetaRLModule, "training_step", learning)
        fit = subcommands.fit

        def watched(run: Run, arguments: dict[str, Any]) -> None:
            fit(run, arguments)
            if rank == 0:
                steps = run.datamodule.environment_steps / sum(collecting)
                record.write_text(f"{steps} {len(learning) / sum(learning)}")

        subcommands.fit = watched
        place = f"--trainer.logger.init_args.save_dir={folder / str(number)}"
        return cli.main([*ARGUMENTS, f"--trainer.devices={number}", place])

    assert in_ranks(train, number) == [0] * number
    steps, updates = record.read_text().split()
    return float(steps), float(updates)


def main() -> int:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        (steps_1, updates_1), (steps_2, updates_2) = (measured(number, Path(folder)) for number in (1, 2))
    figures = {
        "collect_scaling_2": steps_2 / steps_1,
        "train_scaling_2": updates_2 / updates_1,
        "environment_steps_per_s_1": steps_1,
        "environment_steps_per_s_2": steps_2,
        "gradient_steps_per_s_1": updates_1,
        "gradient_steps_per_s_2": updates_2,
    }
    return finish("ranks", figures, {})


if __name__ == "__main__":
    sys.exit(main())
