"""Synthetic rows, small enough to be drawn in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lit_metarl.report.rows import COLUMNS, CURVES, FINALS, RUNS, TASKS, write_table

STEPS = np.arange(1, 11) * 1000
FACTS = {"status": "finished", "cvar_alpha": 0.05, "configuration": "c0ffee", "lightning": "2.6.6"}
Rows = dict[str, list[dict[str, Any]]]
EXPERIMENTS = {
    "cheetah": {"none": [1, 2, 3, 4, 5], "hfr": [1, 2, 3, 4, 5]},
    "point": {"none": [1, 2], "hfr": [1, 2, 3]},
}


def write_synthetic(folder: Path, experiments: dict[str, dict[str, list[int]]] = EXPERIMENTS) -> None:
    """Rows of runs whose return rises from −100 to −100 / (1 + seed / 10), faster with `hfr`."""
    rows: Rows = {file: [] for file in COLUMNS}
    for experiment, methods in experiments.items():
        for method, seeds in methods.items():
            for seed in seeds:
                _add(rows, experiment, method, seed)
    for file, columns in COLUMNS.items():
        table = pd.DataFrame(rows[file])
        write_table(folder / file, table[[*columns, *(name for name in table if name not in columns)]])


def _add(rows: Rows, experiment: str, method: str, seed: int) -> None:
    name = {"experiment": experiment, "method": method, "seed": seed}
    speed = 2.0 if method == "hfr" else 1.0
    last = -100.0 / (1.0 + seed / 10.0) + 5.0 * (speed - 1.0)
    returns = last - 60.0 * np.exp(-speed * STEPS / 4000.0)
    rows[RUNS].append({**name, **FACTS, "environment": f"Env{experiment}()"})
    for step, value in zip(STEPS, returns):
        row = {**name, "environment_steps": int(step) + 7 * seed, "val/return": value, "val/cvar": 2.0 * value}
        if experiment == "point":
            row["val/success"] = step / STEPS[-1]
        elif method == "hfr":
            row["cem/mean_velocity"] = 1.5 + step / 1e4
        rows[CURVES].append(row)
    for training, value in (("before", -170.0), ("after", last)):
        tests = {"test/return": value, "test/cvar": 2 * value, "test/return_episode_1": value - 20}
        end = 0 if training == "before" else int(STEPS[-1]) + 7 * seed
        ends = {"training": training, "environment_steps": end, "test/return_episode_2": value}
        rows[FINALS].append({**name, **ends, **tests})
    if experiment == "cheetah":
        rows[TASKS] += [
            {**name, "task": task, "episode": episode, "return": value - task, "task/velocity": task / 4.0}
            for task in range(12)
            for episode, value in ((1, last - 20.0), (2, last))
        ]
