"""One row per test task and episode, in a file that figures can be plotted from without the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from envs.base import MetaEnvSpec
from lit_metarl.evaluation.metrics import TaskResults

TASK_ROWS = "test_tasks.parquet"
TASK_ROWS_CSV = "test_tasks.csv"
COORDINATE = "task/"
"""Prefix of the columns with a task's coordinates."""
REQUIRED = ("task", "episode", "return")
PACKAGES = ("lit_metarl", "torch", "pytorch-lightning", "torchrl", "mujoco", "gymnasium", "numpy")


@dataclass(frozen=True)
class RunFacts:
    """What all rows of a test have in common.

    Attributes:
        meta_spec: sizes and names of the environment.
        seed: of the run.
        configuration: hash of everything that seeds of one method share (`configuration_hash`).
        environment_steps: made in training before the test.
    """

    meta_spec: MetaEnvSpec
    seed: int
    configuration: str
    environment_steps: int


def task_rows(results: TaskResults, run: RunFacts) -> pa.Table:
    """The rows; several trials of one task are averaged.

    Columns: `environment`, `seed`, `configuration`, `environment_steps`, `versions` (of the packages that matter),
    `task` (number), `episode` (from 1), `exploration` (whether the episode only gathered information), `return`,
    `success` (share of the trials; only if the environment defines it), and every coordinate as `task/<name>`.
    """
    tasks, episodes = results.returns.shape
    number = tasks * episodes
    columns: dict[str, Any] = {
        "environment": [run.meta_spec.name] * number,
        "seed": [run.seed] * number,
        "configuration": [run.configuration] * number,
        "environment_steps": [run.environment_steps] * number,
        "versions": [_versions()] * number,
        "task": [task for task in range(tasks) for _ in range(episodes)],
        "episode": [episode + 1 for _ in range(tasks) for episode in range(episodes)],
        "exploration": [episode < results.exploration_episodes for _ in range(tasks) for episode in range(episodes)],
        "return": results.returns.flatten().cpu().numpy(),
    }
    if results.success is not None:
        columns["success"] = results.success.flatten().cpu().numpy()
    for name, values in zip(run.meta_spec.task_names, results.tasks.T.cpu()):
        columns[COORDINATE + name] = values.repeat_interleave(episodes).numpy()
    return pa.table(columns)


def write_task_rows(rows: pa.Table, folder: Path, as_csv: bool) -> Path:
    """Write the rows into `folder` as Parquet, and `as_csv` too if wanted; the Parquet file."""
    folder.mkdir(parents=True, exist_ok=True)
    parquet.write_table(rows, folder / TASK_ROWS)
    if as_csv:
        csv.write_csv(rows, folder / TASK_ROWS_CSV)
    return folder / TASK_ROWS


def read_task_rows(path: Path) -> list[Mapping[str, Any]]:
    """Rows that `write_task_rows` wrote.

    Raises:
        ValueError: if the file is damaged, or lacks a column that every such file has.
        OSError: if it cannot be read.
    """
    try:
        table = parquet.read_table(path)
    except pa.ArrowException as error:
        raise ValueError(f"its {path.name} is damaged") from error
    lacking = [name for name in REQUIRED if name not in table.column_names]
    if lacking:
        raise ValueError(f"its {path.name} lacks the columns {lacking}")
    rows: list[Mapping[str, Any]] = table.to_pylist()
    return rows


def _versions() -> str:
    return "; ".join(f"{name} {version(name)}" for name in PACKAGES)
