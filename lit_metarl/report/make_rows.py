"""The first step: run folders to rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from envs.errors import require
from lit_metarl.configuration_hash import configuration_hash
from lit_metarl.evaluation import COORDINATE, TASK_ROWS, read_task_rows
from lit_metarl.report.event_logs import read_scalars
from lit_metarl.report.row_files import Row, single, write_rows
from lit_metarl.report.run_folders import CONFIGURATION, RESULTS, RunName, find_runs, newest_finished

RUNS, CURVES, FINALS, TASKS = "runs.csv", "curves.csv", "finals.csv", "tasks.csv.gz"
NAME = ("experiment", "method", "seed")
RUN_COLUMNS = (*NAME, "status", "environment", "cvar_alpha", "configuration", "lightning")
CURVE_COLUMNS = (*NAME, "environment_steps")
FINAL_COLUMNS = (*NAME, "training", "environment_steps")
TASK_COLUMNS = (*NAME, "task", "episode", "return")

FINISHED = "finished"
SUCCESS = "val/success"
TASK_MEAN = "cem/mean_"
"""Prefix of the columns with the means of the tasks that a cross-entropy sampler draws."""


@dataclass
class RunRows:
    """Rows of one run or, added up, of many."""

    runs: list[Row] = field(default_factory=list)
    curves: list[Row] = field(default_factory=list)
    finals: list[Row] = field(default_factory=list)
    tasks: list[Row] = field(default_factory=list)

    def add(self, other: RunRows) -> None:
        """Append another run's rows."""
        self.runs += other.runs
        self.curves += other.curves
        self.finals += other.finals
        self.tasks += other.tasks


def make_rows(runs: Path, rows: Path) -> list[str]:
    """Read all runs below `runs` and write their rows into the folder `rows`.

    Returns:
        One line for each run that was left out, with the reason; `runs.csv` records it too.

    Raises:
        ConfigurationError: if there is no finished run, or a file cannot be written.
    """
    collected, skipped = RunRows(), []
    for name, place in find_runs(runs).items():
        try:
            collected.add(_rows_of(name, place))
        except (OSError, ValueError) as error:
            reason = _reason(error)
            collected.runs.append({**_name(name), "status": reason})
            skipped.append(f"{name}: {reason}")
    message = f"none of its {len(skipped)} runs can be used ({'; '.join(skipped[:3])})"
    require(len(skipped) < len(collected.runs), "runs", str(runs), message, "Wait until a run has finished.")
    write_rows(rows / RUNS, RUN_COLUMNS, collected.runs)
    write_rows(rows / CURVES, _columns(CURVE_COLUMNS, collected.curves), collected.curves)
    write_rows(rows / FINALS, _columns(FINAL_COLUMNS, collected.finals), collected.finals)
    if collected.tasks:
        write_rows(rows / TASKS, _columns(TASK_COLUMNS, collected.tasks), collected.tasks)
    else:
        (rows / TASKS).unlink(missing_ok=True)  # of an earlier call
    return skipped


def _reason(error: OSError | ValueError) -> str:
    """Why a run was left out, in one line that does not depend on where the runs are."""
    if isinstance(error, OSError) and error.filename:
        return f"{Path(error.filename).name}: {error.strerror}"
    return str(error).splitlines()[0]


def _columns(first: tuple[str, ...], rows: list[Row]) -> list[str]:
    return [*first, *sorted({column for row in rows for column in row} - set(first))]


def _name(name: RunName) -> dict[str, str | int]:
    return {"experiment": name.experiment, "method": name.method, "seed": name.seed}


def _rows_of(name: RunName, place: Path) -> RunRows:
    """Rows of a run's newest finished version.

    Raises:
        ValueError: if no version has finished, or one of its files is damaged.
        OSError: if a file cannot be read.
    """
    folders = newest_finished(place)
    if not folders:
        raise ValueError(f"it has not finished (no {RESULTS})")
    key, folder = _name(name), folders[-1]
    scalars = read_scalars(folders, ("val/", "test/", "progress/", TASK_MEAN))
    steps = sorted(scalars.get("val/return", {}))
    if not steps:
        raise ValueError("its event files hold no val/return")
    curves: list[Row] = [
        {
            **key,
            "environment_steps": step,
            **{
                metric: single(values[step])
                for metric, values in scalars.items()
                if step in values and not metric.startswith("test/")
            },
        }
        for step in steps
    ]
    results = _results(folder / RESULTS)
    ends = {"before": 0, "after": max([*steps, *scalars.get("test/return", {})])}
    finals: list[Row] = [
        {
            **key,
            "training": training,
            "environment_steps": ends[training],
            **{metric: single(value) for metric, value in figures.items()},
        }
        for training, figures in results.items()
    ]
    run = {**key, "status": FINISHED, **_configuration(folder / CONFIGURATION)}
    return RunRows([run], curves, finals, _task_rows(key, folder / TASK_ROWS))


def _task_rows(key: dict[str, str | int], path: Path) -> list[Row]:
    if not path.is_file():
        return []  # of a version that did not write it
    wanted = (*TASK_COLUMNS[len(NAME) :], "success")
    return [
        {
            **key,
            **{
                name: single(cell) if isinstance(cell, float) else cell
                for name, cell in row.items()
                if name in wanted or name.startswith(COORDINATE)
            },
        }
        for row in read_task_rows(path)
    ]


def _results(path: Path) -> dict[str, dict[str, float]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {training: {name: float(value) for name, value in content[training].items()} for training in content}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"its {path.name} is damaged") from error


def _configuration(path: Path) -> dict[str, str | float | None]:
    """What a report must know of a run's configuration."""
    text = path.read_text(encoding="utf-8")
    try:
        config: dict[str, Any] = yaml.safe_load(text)
        env, alpha = config["data"]["env"], (config["model"].get("init_args") or {}).get("cvar_alpha")
        name = configuration_hash(config)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its {path.name} is damaged") from error
    first = text.splitlines()[0]
    return {
        "environment": _described(env),
        "cvar_alpha": alpha,
        "configuration": name,
        "lightning": first.partition("==")[2] if first.startswith("# pytorch_lightning==") else None,
    }


def _described(env: dict[str, Any] | str) -> str:
    """A world's class, with its arguments if it was given any, such as `PointRobot(horizon=20)`."""
    path, given = (env, {}) if isinstance(env, str) else (env["class_path"], env.get("init_args") or {})
    name = path.rpartition(".")[2]
    return f"{name}({', '.join(f'{key}={value}' for key, value in sorted(given.items()))})" if given else name
