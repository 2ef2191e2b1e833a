"""One row per test task and episode, in a file that figures can be plotted from without the run."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.meta_env_spec import MetaEnvSpec
from lit_metarl import __version__
from lit_metarl.evaluation.metrics import TaskResults
from lit_metarl.whole_files import write_whole

if TYPE_CHECKING:  # pandas is imported where it is needed: the command line answers sooner
    import pandas as pd

TASK_ROWS = "test_tasks.csv"
COORDINATE = "task/"
"""Prefix of the columns with a task's coordinates."""
REQUIRED = ["task", "episode", "return"]
PACKAGES = ("torch", "pytorch-lightning", "torchrl", "mujoco", "gymnasium", "numpy")


def result_rows(results: TaskResults, meta_spec: MetaEnvSpec) -> pd.DataFrame:
    """One row for each task and episode; several trials of one task are averaged.

    Columns: `task` (number), `episode` (from 1), `exploration` (whether the episode only gathered information),
    `return`, `success` (share of the trials; only in an environment that defines it), and every coordinate as
    `task/<name>`.
    """
    import pandas as pd

    tasks, episodes = results.returns.shape
    episode = np.tile(np.arange(episodes), tasks)
    rows = pd.DataFrame({"task": np.repeat(np.arange(tasks), episodes), "episode": episode + 1})
    rows["exploration"] = episode < results.exploration_episodes
    rows["return"] = results.returns.flatten().cpu().numpy()
    if results.success is not None:
        rows["success"] = results.success.flatten().cpu().numpy()
    for name, values in zip(meta_spec.task_names, results.tasks.T.cpu()):
        rows[COORDINATE + name] = values.repeat_interleave(episodes).numpy()
    return rows


def task_rows(
    results: TaskResults, meta_spec: MetaEnvSpec, *, seed: int, configuration: str, environment_steps: int
) -> pd.DataFrame:
    """The rows of `result_rows` behind what they have in common.

    Columns: `environment`, `seed`, `configuration`, `environment_steps`, `versions` (of the packages that matter), and
    those of `result_rows`.

    Args:
        results: of the test.
        meta_spec: the environment's description.
        seed: of the run.
        configuration: hash of everything that seeds of one method share (`configuration_hash`).
        environment_steps: made in training before the test.
    """
    rows = result_rows(results, meta_spec)
    common: dict[str, Any] = {
        "environment": meta_spec.name,
        "seed": seed,
        "configuration": configuration,
        "environment_steps": environment_steps,
        "versions": "; ".join([f"lit_metarl {__version__}", *(f"{name} {version(name)}" for name in PACKAGES)]),
    }
    return rows.assign(**common)[[*common, *rows]]


def write_task_rows(rows: pd.DataFrame, folder: Path) -> Path:
    """Write the rows into `folder`; the file."""
    write_whole(folder / TASK_ROWS, rows.to_csv(index=False).encode())
    return folder / TASK_ROWS


def read_task_rows(path: Path) -> pd.DataFrame:
    """Rows that `write_task_rows` wrote.

    Raises:
        ValueError: if the file is damaged, or lacks a column that every such file has.
        OSError: if it cannot be read.
    """
    import pandas as pd

    try:
        rows = pd.read_csv(path, float_precision="round_trip")
        whole = path.read_bytes().endswith(b"\n")
    except ValueError as error:
        raise ValueError(f"its {path.name} is damaged") from error
    lacking = [name for name in REQUIRED if name not in rows]
    if lacking:
        raise ValueError(f"its {path.name} lacks the columns {lacking}")
    if not whole or not all(pd.api.types.is_numeric_dtype(rows[name]) for name in REQUIRED):
        raise ValueError(f"its {path.name} is damaged")
    return rows
