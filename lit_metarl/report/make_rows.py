"""The first step: run folders to rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from envs.errors import require
from lit_metarl.configuration_hash import configuration_hash
from lit_metarl.evaluation import COORDINATE, TASK_ROWS, read_task_rows
from lit_metarl.report.event_logs import read_scalars
from lit_metarl.report.rows import (
    COLUMNS,
    CURVES,
    FINALS,
    FINISHED,
    MONITOR,
    NAME,
    RUNS,
    TASK_MEANS,
    TASKS,
    UNFINISHED,
    read_named_table,
    write_table,
)
from lit_metarl.report.run_folders import CONFIGURATION, RESULTS, described, find_runs, read_configuration


def make_rows(runs: Path, rows: Path, add: bool = False) -> list[str]:
    """Read all runs in and below `runs` and write their rows into the folder `rows`.

    Args:
        runs: folder of a run, or with runs in it.
        rows: folder of the files.
        add: whether rows that are there of other runs stay.

    Returns:
        One line for each run that was found: what there is of it, or why it cannot be used; `runs.csv` records it too.

    Raises:
        ConfigurationError: if no run can be used, or a file cannot be written.
    """
    collected: dict[str, list[pd.DataFrame]] = {file: [pd.DataFrame(columns=COLUMNS[file])] for file in COLUMNS}
    found, usable = [], False
    for name, folders in find_runs(runs).items():
        try:
            tables = _tables_of(folders)
            usable = True
        except (OSError, ValueError) as error:
            tables = {RUNS: pd.DataFrame([{"status": _reason(error)}])}
        for file, table in tables.items():
            collected[file].append(table.assign(**name._asdict()))
        versions = f" ({', '.join(folder.name for folder in folders)})" if len(folders) > 1 else ""
        found.append(f"{name}: {tables[RUNS]['status'].iloc[0]}{versions}")
    message = f"none of its {len(found)} runs can be used ({'; '.join(found[:3])})"
    require(usable, "runs", str(runs), message, "Wait until a run has finished or validated once.")
    for file, of_runs in collected.items():
        table = pd.concat([one for one in of_runs if len(one)] or of_runs)
        if add and (rows / file).is_file():
            table = _added(table, read_named_table(rows / file).drop(columns="run"), collected[RUNS])
        metrics = sorted(set(table.columns) - set(COLUMNS[file]))
        if file == TASKS and table.empty:
            (rows / TASKS).unlink(missing_ok=True)  # of an earlier call
        else:
            write_table(rows / file, table.reindex(columns=[*COLUMNS[file], *metrics]))
    return found


def _added(table: pd.DataFrame, earlier: pd.DataFrame, runs: list[pd.DataFrame]) -> pd.DataFrame:
    """`table` and the `earlier` rows of other runs than `runs`, in the order of their names."""
    again = pd.MultiIndex.from_frame(pd.concat(runs)[NAME])
    both = pd.concat([earlier[~pd.MultiIndex.from_frame(earlier[NAME]).isin(again)], table])
    return both.sort_values(NAME, kind="stable")


def _reason(error: OSError | ValueError) -> str:
    """Why a run was left out, in one line that does not depend on where the runs are."""
    if isinstance(error, OSError) and error.filename:
        return f"{Path(error.filename).name}: {error.strerror}"
    return str(error).splitlines()[0]


def _tables_of(folders: list[Path]) -> dict[str, pd.DataFrame]:
    """Rows of a run, by file.

    Raises:
        ValueError: if it neither finished nor validated, one of its files is damaged, or another run counts.
        OSError: if a file cannot be read.
    """
    if not folders:
        raise ValueError("a finished or newer run of its configuration and seed is used")
    folder = folders[-1]
    finished = (folder / RESULTS).is_file()
    scalars = read_scalars(folders, ("val/", "test/", "progress/", *TASK_MEANS), finished)
    steps = sorted(scalars.get("val/return", {}))
    if not finished and not steps:
        raise ValueError(f"it has not finished (no {RESULTS}), nor validated once")
    tested = max([0, *steps, *scalars.get("test/return", {})])  # of older versions, which did not write task rows
    if (folder / TASK_ROWS).is_file():
        tested = int(read_task_rows(folder / TASK_ROWS)["environment_steps"].iloc[0])
    steps_of = {"before": 0, "after": tested}
    tests = _results(folder / RESULTS) if finished else _untrained(scalars)
    tables = {
        RUNS: pd.DataFrame([{"status": FINISHED if finished else UNFINISHED, **_facts(folder)}]),
        FINALS: pd.DataFrame(
            [{"training": when, "environment_steps": steps_of[when], **metrics} for when, metrics in tests.items()]
        ),
    }
    if steps:
        curves = {name: own for name, own in scalars.items() if not name.startswith("test/")}
        table = pd.DataFrame({name: pd.Series(own).map(_single) for name, own in curves.items()})
        tables[CURVES] = table.loc[steps].rename_axis("environment_steps").reset_index()
    if (folder / TASK_ROWS).is_file():
        tables[TASKS] = _task_rows(folder / TASK_ROWS)
    return tables


def _untrained(scalars: dict[str, dict[int, float]]) -> dict[str, dict[str, str]]:
    """The test before training of a run that has not finished."""
    before = {name: _single(values[0]) for name, values in scalars.items() if name.startswith("test/") and 0 in values}
    return {"before": before} if before else {}


def _single(value: float) -> str:
    """The shortest decimal that gives back the single-precision number that was logged; "nan" stands for NaN."""
    return str(np.float32(value))


def _task_rows(path: Path) -> pd.DataFrame:
    table = read_task_rows(path)
    kept = {*COLUMNS[TASKS], "success"} - {"seed"}
    table = table[[name for name in map(str, table) if name in kept or name.startswith(COORDINATE)]]
    floats = table.select_dtypes("float")
    return table.assign(**{name: floats[name].map(_single) for name in map(str, floats)})


def _results(path: Path) -> dict[str, dict[str, str]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            training: {name: _single(float(value)) for name, value in content[training].items()} for training in content
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"its {path.name} is damaged") from error


def _facts(folder: Path) -> dict[str, str | float | None]:
    """What a report must know of a run's configuration."""
    config = read_configuration(folder)
    first = (folder / CONFIGURATION).read_text(encoding="utf-8").splitlines()[0]
    return {
        "environment": described(config["data"]["env"]),
        "cvar_alpha": (config["model"].get("init_args") or {}).get("cvar_alpha"),
        MONITOR: config["checkpoint"]["monitor"] or "step" if "checkpoint" in config else None,
        "configuration": configuration_hash(config),
        "lightning": first.partition("==")[2] if first.startswith("# pytorch_lightning==") else None,
    }
