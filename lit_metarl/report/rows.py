"""Files of rows: written one way, and read back as frames with every mistake named."""

from __future__ import annotations

import csv
import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from envs.errors import ConfigurationError, require
from lit_metarl.evaluation import COORDINATE
from lit_metarl.whole_files import NotWritten, write_whole

RUNS, CURVES, FINALS, TASKS = "runs.csv", "curves.csv", "finals.csv", "tasks.csv.gz"
NAME = ["experiment", "method", "seed"]
COLUMNS = {
    RUNS: [*NAME, "status", "environment", "cvar_alpha", "configuration", "lightning"],
    CURVES: [*NAME, "environment_steps"],
    FINALS: [*NAME, "training", "environment_steps"],
    TASKS: [*NAME, "task", "episode", "return"],
}
"""By file, the columns that it must have; further ones are metrics and coordinates of tasks."""

MONITOR = "monitor"
"""Of runs: what chose the checkpoint that was tested; older rows lack the column."""

FINISHED, UNFINISHED = "finished", "not finished"
SUCCESS = "val/success"
TASK_MEANS = ("cem/mean_", "predictor/mean_")
"""Prefixes of the columns with the means of the tasks that were sampled, by the kind of sampler."""
REMAKE = "Make the rows again with 'python -m lit_metarl.report rows RUNS ROWS'."


@dataclass(frozen=True)
class Experiment:
    """Runs that are to be compared. Every frame names the run of a row in the column `run` too.

    Attributes:
        name: of the experiment.
        runs: used runs as in `runs.csv`, ordered by method and seed; all columns but `seed` are text, "" where unknown.
            They have finished, except where no run of their method has.
        unused: the others; `status` says why.
        curves: one row a validation of `runs`; NaN where a metric was not logged.
        finals: one row a test metric (`training`, `metric`, `value`).
        tasks: one row a test task, of the adapted (last) episode; coordinates as `task/<name>`.
    """

    name: str
    runs: pd.DataFrame
    unused: pd.DataFrame
    curves: pd.DataFrame
    finals: pd.DataFrame
    tasks: pd.DataFrame

    @property
    def seeds(self) -> dict[str, list[int]]:
        """Seeds of the runs, by method."""
        return {str(method): own["seed"].tolist() for method, own in self.runs.groupby("method")}

    @property
    def environments(self) -> list[str]:
        """The environments of its runs; runs of different ones are not compared."""
        return sorted(self.runs["environment"].unique())

    @property
    def metrics(self) -> list[str]:
        """Everything that at least one run has a curve of."""
        return sorted(name for name in map(str, self.curves) if "/" in name and self.curves[name].notna().any())

    @property
    def untrained(self) -> pd.Series[float]:
        """Means of test metrics before training, by metric and method; values that are not finite are left out."""
        before = self.finals[(self.finals["training"] == "before") & np.isfinite(self.finals["value"])]
        means: pd.Series[float] = before.groupby(["metric", "method"])["value"].mean()
        return means

    @property
    def constants(self) -> dict[str, float]:
        """Metrics of validations and of tests after training that have one value only, and it; all runs together."""
        after = self.finals[self.finals["training"] == "after"]
        series = {name: self.curves[name] for name in self.metrics} | dict(list(after.groupby("metric")["value"]))
        finite = {str(name): values[np.isfinite(values)] for name, values in series.items()}
        return {name: values.iloc[0] for name, values in finite.items() if len(values) > 1 and values.nunique() == 1}

    @property
    def coordinates(self) -> list[str]:
        """Names of the tasks' coordinates."""
        given = [str(name) for name in self.tasks if self.tasks[name].notna().any()]
        return sorted(name.removeprefix(COORDINATE) for name in given if name.startswith(COORDINATE))


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, compressed where the name ends in `.gz`; equal tables give equal files.

    Raises:
        ConfigurationError: if the file cannot be written.
    """
    content = table.to_csv(index=False, lineterminator="\n").encode()
    write_file(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole, and its folder.

    Raises:
        ConfigurationError: if it cannot be written.
    """
    try:
        write_whole(path, content)
    except NotWritten as error:
        hint = "Choose a folder that you may write to and that has room; what was there before is whole."
        raise ConfigurationError("output", str(path), f"it cannot be written ({error.reason})", hint) from error


def read_table(path: Path, required: list[str]) -> pd.DataFrame:
    """A table as text; what is left empty is "".

    Raises:
        ConfigurationError: if the file is missing or damaged, lacks a required column, or has a row of another length
            than its header.
    """
    require(path.is_file(), "rows", str(path), "there is no such file", REMAKE)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="") as file:
            header, *lines = [line for line in csv.reader(file) if line] or [[]]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError("rows", str(path), f"it is damaged ({error})", REMAKE) from error
    lacking = [name for name in required if name not in header]
    require(not lacking, "rows", str(path), f"it lacks the columns {lacking}", REMAKE)
    aligned = all(len(line) == len(header) for line in lines)  # pandas would fill short rows silently
    require(aligned, "rows", str(path), "a row has more or fewer cells than the header", REMAKE)
    return pd.DataFrame(lines, columns=header, dtype=str)


def load_experiments(folder: Path) -> list[Experiment]:
    """Read the rows of a folder.

    Raises:
        ConfigurationError: if a file is missing, or its columns or rows do not fit together.
    """
    require(folder.is_dir(), "rows", str(folder), "there is no such folder", REMAKE)
    runs, curves, finals = (read_named_table(folder / file) for file in (RUNS, CURVES, FINALS))
    tasks = (
        read_named_table(folder / TASKS)
        if (folder / TASKS).is_file()
        else pd.DataFrame(columns=[*COLUMNS[TASKS], "run"])
    )
    twice = runs["run"][runs["run"].duplicated()].tolist()
    require(not twice, "rows", str(folder / RUNS), f"it names {twice[:1]} more than once", REMAKE)
    for file, table in ((CURVES, curves), (FINALS, finals), (TASKS, tasks)):
        strangers = sorted(set(table["run"]) - set(runs["run"]))
        require(not strangers, "rows", str(folder / file), f"{RUNS} does not list {strangers[:3]}", REMAKE)
    runs = runs.sort_values(NAME)
    runs[MONITOR] = runs.get(MONITOR, "")
    finished = runs["status"] == FINISHED
    alone = ~finished.groupby([runs["experiment"], runs["method"]]).transform("any")
    used = finished | (runs["status"] == UNFINISHED) & alone
    require(bool(used.any()), "rows", str(folder), "it holds no run that can be used", REMAKE)

    curves, tasks = _with_numbers(folder / CURVES, curves), _with_numbers(folder / TASKS, tasks)
    steps = curves["environment_steps"]
    wrong = curves["run"][steps.isna() | (steps.groupby(curves["run"]).diff() <= 0)].tolist()
    require(not wrong, "rows", str(folder / CURVES), f"the environment steps of {wrong[:1]} do not ascend", REMAKE)
    finals = finals.melt([*COLUMNS[FINALS], "run"], var_name="metric")
    finals = _with_numbers(folder / FINALS, finals[finals["value"] != ""])
    adapted = tasks[tasks["episode"] == tasks.groupby("run")["episode"].transform("max")]
    return [
        Experiment(
            str(name),
            own[used[own.index]],
            own[~used[own.index]],
            *(table[table["run"].isin(own["run"][used[own.index]])] for table in (curves, finals, adapted)),
        )
        for name, own in runs.groupby("experiment")
    ]


def read_named_table(path: Path) -> pd.DataFrame:
    """A table with whole seeds, and with the column `run` as `<experiment>/<method>/seed_<number>`.

    Raises:
        ConfigurationError: as `read_table`, and if a row does not name a run.
    """
    table = read_table(path, COLUMNS[path.name])
    seeds = _numbers(path, table["seed"])
    wrong = table.loc[(seeds % 1 != 0) | (table["experiment"] == "") | (table["method"] == ""), NAME]
    require(wrong.empty, "rows", str(path), f"the {NAME} of a row are {wrong[:1].to_numpy().tolist()}", REMAKE)
    table["seed"] = seeds.astype(int)
    return table.assign(run=table["experiment"] + "/" + table["method"] + "/seed_" + table["seed"].astype(str))


def _with_numbers(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    text = (*NAME, "run", "training", "metric")
    return table.assign(**{str(name): _numbers(path, table[name]) for name in table if name not in text})


def _numbers(path: Path, cells: pd.Series[str]) -> pd.Series[float]:
    """A column as numbers; NaN where it is empty."""
    try:
        return cells.mask(cells == "").astype(float)
    except ValueError as error:
        raise ConfigurationError("rows", str(path), f"column {cells.name}: {error}", REMAKE) from error
