"""Rows read back, as experiments of methods of seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from envs.errors import ConfigurationError, require
from lit_metarl.evaluation import COORDINATE
from lit_metarl.report.estimators import FloatArray
from lit_metarl.report.make_rows import (
    CURVE_COLUMNS,
    CURVES,
    FINAL_COLUMNS,
    FINALS,
    FINISHED,
    NAME,
    RUN_COLUMNS,
    RUNS,
    SUCCESS,
    TASK_COLUMNS,
    TASK_MEAN,
    TASKS,
)
from lit_metarl.report.row_files import REMAKE, number, read_rows
from lit_metarl.report.run_folders import RunName

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class TaskReturns:
    """Returns of one run's adapted (last) episode by test task.

    Attributes:
        tasks: numbers of the tasks `[tasks]`.
        returns: `[tasks]`.
        coordinates: by name, `[tasks]`.
    """

    tasks: FloatArray
    returns: FloatArray
    coordinates: Mapping[str, FloatArray]


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
        name: experiment, method and seed.
        facts: what `runs.csv` says of it, by column.
        steps: environment steps of its validations, ascending, `[validations]`.
        curves: by metric, its values at `steps`, `[validations]`; NaN where it was not logged.
        finals: by `before` or `after` (training), its test metrics.
        tasks: returns by test task; None if the run has no such rows.
    """

    name: RunName
    facts: Mapping[str, str]
    steps: FloatArray
    curves: Mapping[str, FloatArray]
    finals: Mapping[str, Mapping[str, float]]
    tasks: TaskReturns | None


@dataclass(frozen=True)
class Experiment:
    """Runs that are to be compared.

    Attributes:
        name: of the experiment.
        methods: finished runs by method, in the order of their seeds.
        unused: by run, why it could not be used.
    """

    name: str
    methods: Mapping[str, list[Run]]
    unused: Mapping[RunName, str]

    @property
    def runs(self) -> list[Run]:
        """All runs."""
        return [run for runs in self.methods.values() for run in runs]

    @property
    def metrics(self) -> list[str]:
        """Validation metrics that at least one run has a curve of."""
        return sorted({metric for run in self.runs for metric in run.curves if metric.startswith("val/")})

    @property
    def further_curves(self) -> list[str]:
        """What else is drawn where a run has it: the share of successes, and the mean of the tasks drawn."""
        names = {name for run in self.runs for name in run.curves}
        return sorted(name for name in names if name == SUCCESS or name.startswith(TASK_MEAN))

    @property
    def environments(self) -> list[str]:
        """The worlds of its runs; more than one cannot be compared."""
        return sorted({run.facts["environment"] for run in self.runs})


def load_results(folder: Path) -> list[Experiment]:
    """Read the rows of a folder.

    Raises:
        ConfigurationError: if a file is missing, or its columns or rows do not fit together.
    """
    require(folder.is_dir(), "rows", str(folder), "there is no such folder", REMAKE)
    facts = _by_run(folder / RUNS, RUN_COLUMNS)
    curves = _by_run(folder / CURVES, CURVE_COLUMNS)
    finals = _by_run(folder / FINALS, FINAL_COLUMNS)
    tasks = _by_run(folder / TASKS, TASK_COLUMNS) if (folder / TASKS).is_file() else {}
    for name, rows in facts.items():
        require(len(rows) == 1, "rows", str(folder / RUNS), f"it names {name} more than once", REMAKE)
    for path, table in ((CURVES, curves), (FINALS, finals), (TASKS, tasks)):
        strangers = [str(name) for name in table if name not in facts]
        require(not strangers, "rows", str(folder / path), f"{RUNS} does not list {strangers[:3]}", REMAKE)

    finished: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    unused: dict[str, dict[RunName, str]] = defaultdict(dict)
    for name, [fact] in sorted(facts.items()):
        if fact["status"] != FINISHED:
            unused[name.experiment][name] = fact["status"]
            continue
        require(name in curves, "rows", str(folder / CURVES), f"it has no rows of {name}", REMAKE)
        steps, values = _curves(folder / CURVES, name, curves[name])
        final = {row["training"]: _metrics(folder / FINALS, row, FINAL_COLUMNS) for row in finals.get(name, [])}
        by_task = _tasks(folder / TASKS, tasks[name]) if name in tasks else None
        finished[name.experiment][name.method].append(Run(name, fact, steps, values, final, by_task))
    require(bool(finished), "rows", str(folder), "it holds no finished run", REMAKE)
    return [Experiment(name, dict(finished[name]), unused[name]) for name in sorted({*finished, *unused})]


def _by_run(path: Path, required: tuple[str, ...]) -> dict[RunName, Rows]:
    grouped: dict[RunName, Rows] = defaultdict(list)
    for row in read_rows(path, required):
        seed = number(path, row, "seed")
        name = RunName(row["experiment"], row["method"], int(seed) if math.isfinite(seed) else -1)
        whole = bool(name.experiment and name.method) and name.seed == seed
        require(whole, "rows", str(path), f"a row's {NAME} is {tuple(row[column] for column in NAME)}", REMAKE)
        grouped[name].append(row)
    return grouped


def _metrics(path: Path, row: Mapping[str, str], others: tuple[str, ...]) -> dict[str, float]:
    return {column: number(path, row, column) for column in row if column not in others and row[column]}


def _curves(path: Path, name: RunName, rows: Rows) -> tuple[FloatArray, dict[str, FloatArray]]:
    steps = np.array([number(path, row, "environment_steps") for row in rows])
    if not np.all(np.diff(steps) > 0):  # NaN does not ascend either
        raise ConfigurationError("rows", str(path), f"the environment steps of {name} do not ascend", REMAKE)
    metrics = [column for column in rows[0] if column not in CURVE_COLUMNS]
    values = {metric: np.array([number(path, row, metric) for row in rows]) for metric in metrics}
    return steps, {metric: value for metric, value in values.items() if not np.isnan(value).all()}


def _tasks(path: Path, rows: Rows) -> TaskReturns:
    last = max(number(path, row, "episode") for row in rows)
    adapted = [row for row in rows if number(path, row, "episode") == last]
    coordinates = [column for column in rows[0] if column.startswith(COORDINATE) and adapted[0][column]]

    def values(column: str) -> FloatArray:
        return np.array([number(path, row, column) for row in adapted])

    return TaskReturns(
        values("task"), values("return"), {name.removeprefix(COORDINATE): values(name) for name in coordinates}
    )
