"""Shared by all tests: one thread each, and tiny runs through the real command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lit_metarl import cli

CONFIGS = Path(__file__).parent.parent / "configs"

TINY = [
    "--name=",
    "--trainer.max_epochs=2",
    "--trainer.check_val_every_n_epoch=1",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--figures.share=0",
    "--data.task_slots=4",
    "--data.collection.tasks_per_iteration=2",
    "--data.collection.initial_episodes=1",
    "--data.collection.adapted_episodes=1",
    "--data.batches.meta_steps=3",
    "--data.batches.tasks=2",
    "--data.batches.transitions=8",
    "--data.batches.context=8",
    "--data.evaluation.validation_tasks=3",
    "--data.evaluation.test_tasks=5",
    "--data.evaluation.num_envs=4",
]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def configs() -> Path:
    """The folder of configuration files."""
    return CONFIGS


@pytest.fixture
def run_tiny(tmp_path: Path) -> Callable[..., int]:
    """Run `train.py <subcommand> --config … <tiny sizes> …`, writing below the test's own folder."""

    def run(subcommand: str, *arguments: str, config: str = "point_robot.yaml") -> int:
        return cli.main(
            [
                subcommand,
                f"--config={CONFIGS / config}",
                *TINY,
                f"--trainer.logger.init_args.save_dir={tmp_path / 'runs'}",
                *arguments,
            ]
        )

    return run
