"""Synthetic rows, small enough to be drawn in a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lit_metarl.report import make_rows
from lit_metarl.report.row_files import Row, write_rows

STEPS = np.arange(1, 11) * 1000
FACTS = {"status": "finished", "cvar_alpha": 0.05, "configuration": "c0ffee", "lightning": "2.6.6"}
EXPERIMENTS = {
    "cheetah": {"none": [1, 2, 3, 4, 5], "hfr": [1, 2, 3, 4, 5]},
    "point": {"none": [1, 2], "hfr": [1, 2, 3]},
}


def write_synthetic(folder: Path, experiments: dict[str, dict[str, list[int]]] = EXPERIMENTS) -> None:
    """Rows of runs whose return rises from −100 to −100 / (1 + seed / 10), faster with `hfr`."""
    rows = make_rows.RunRows()
    for experiment, methods in experiments.items():
        for method, seeds in methods.items():
            for seed in seeds:
                _add(rows, {"experiment": experiment, "method": method, "seed": seed})
    write_rows(folder / "runs.csv", make_rows.RUN_COLUMNS, rows.runs)
    metrics = ["val/return", "val/cvar", "val/success", "cem/mean_velocity"]
    write_rows(folder / "curves.csv", [*make_rows.CURVE_COLUMNS, *metrics], rows.curves)
    tests = ["test/return", "test/cvar", "test/return_episode_1", "test/return_episode_2"]
    write_rows(folder / "finals.csv", [*make_rows.FINAL_COLUMNS, *tests], rows.finals)
    write_rows(folder / "tasks.csv.gz", [*make_rows.TASK_COLUMNS, "task/velocity"], rows.tasks)


def _add(rows: make_rows.RunRows, name: Row) -> None:
    seed = int(name["seed"] or 0)
    speed = 2.0 if name["method"] == "hfr" else 1.0
    last = -100.0 / (1.0 + seed / 10.0) + 5.0 * (speed - 1.0)
    returns = last - 60.0 * np.exp(-speed * STEPS / 4000.0)
    rows.runs.append({**name, **FACTS, "environment": f"World{name['experiment']}()"})
    rows.curves += [
        {**name, "environment_steps": int(step) + 7 * seed, "val/return": value, "val/cvar": 2.0 * value}
        for step, value in zip(STEPS, returns)
    ]
    if name["experiment"] == "point":
        for row, step in zip(rows.curves[-len(STEPS) :], STEPS):
            row["val/success"] = step / STEPS[-1]
    if name["method"] == "hfr" and name["experiment"] == "cheetah":
        for row, step in zip(rows.curves[-len(STEPS) :], STEPS):
            row["cem/mean_velocity"] = 1.5 + step / 1e4
    for training, value in (("before", -170.0), ("after", last)):
        tests = {"test/return": value, "test/cvar": 2 * value, "test/return_episode_1": value - 20}
        end = 0 if training == "before" else int(STEPS[-1]) + 7 * seed
        ends = {"training": training, "environment_steps": end, "test/return_episode_2": value}
        rows.finals.append({**name, **ends, **tests})
    if name["experiment"] == "cheetah":
        rows.tasks += [
            {**name, "task": task, "episode": episode, "return": value - task, "task/velocity": task / 4.0}
            for task in range(12)
            for episode, value in ((1, last - 20.0), (2, last))
        ]
