"""The first step: run folders to rows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from envs.errors import require
from lit_metarl.configuration_hash import configuration_hash
from lit_metarl.evaluation import COORDINATE, TASK_ROWS, read_task_rows
from lit_metarl.report.event_logs import read_scalars
from lit_metarl.report.rows import COLUMNS, CURVES, FINALS, FINISHED, RUNS, TASK_MEAN, TASKS, write_table
from lit_metarl.report.run_folders import CONFIGURATION, RESULTS, find_runs, newest_finished


def make_rows(runs: Path, rows: Path) -> list[str]:
    """Read all runs below `runs` and write their rows into the folder `rows`.

    Returns:
        One line for each run that was left out, with the reason; `runs.csv` records it too.

    Raises:
        ConfigurationError: if there is no finished run, or a file cannot be written.
    """
    collected: dict[str, list[pd.DataFrame]] = defaultdict(list)
    skipped = []
    for name, place in find_runs(runs).items():
        try:
            tables = _tables_of(place)
        except (OSError, ValueError) as error:
            reason = _reason(error)
            tables = {RUNS: pd.DataFrame([{"status": reason}])}
            skipped.append(f"{name}: {reason}")
        for file, table in tables.items():
            collected[file].append(table.assign(**name._asdict()))
    message = f"none of its {len(skipped)} runs can be used ({'; '.join(skipped[:3])})"
    require(len(skipped) < len(collected[RUNS]), "runs", str(runs), message, "Wait until a run has finished.")
    (rows / TASKS).unlink(missing_ok=True)  # of an earlier call
    for file, of_runs in collected.items():
        table = pd.concat(of_runs)
        metrics = sorted(set(table.columns) - set(COLUMNS[file]))
        write_table(rows / file, table.reindex(columns=[*COLUMNS[file], *metrics]))
    return skipped


def _reason(error: OSError | ValueError) -> str:
    """Why a run was left out, in one line that does not depend on where the runs are."""
    if isinstance(error, OSError) and error.filename:
        return f"{Path(error.filename).name}: {error.strerror}"
    return str(error).splitlines()[0]


def _tables_of(place: Path) -> dict[str, pd.DataFrame]:
    """Rows of a run's newest finished version, by file.

    Raises:
        ValueError: if no version has finished, or one of its files is damaged.
        OSError: if a file cannot be read.
    """
    folders = newest_finished(place)
    if not folders:
        raise ValueError(f"it has not finished (no {RESULTS})")
    folder = folders[-1]
    scalars = read_scalars(folders, ("val/", "test/", "progress/", TASK_MEAN))
    steps = sorted(scalars.get("val/return", {}))
    if not steps:
        raise ValueError("its event files hold no val/return")
    curves = {
        metric: pd.Series(values).map(_single) for metric, values in scalars.items() if not metric.startswith("test/")
    }
    ends = {"before": 0, "after": max([*steps, *scalars.get("test/return", {})])}
    finals = [
        {"training": training, "environment_steps": ends[training], **metrics}
        for training, metrics in _results(folder / RESULTS).items()
    ]
    tables = {
        RUNS: pd.DataFrame([{"status": FINISHED, **_configuration(folder / CONFIGURATION)}]),
        CURVES: pd.DataFrame(curves).loc[steps].rename_axis("environment_steps").reset_index(),
        FINALS: pd.DataFrame(finals),
    }
    if (folder / TASK_ROWS).is_file():  # older versions did not write it
        tables[TASKS] = _task_rows(folder / TASK_ROWS)
    return tables


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


def _described(env: Mapping[str, Any] | str) -> str:
    """An environment's class, with its arguments if it was given any, such as `PointRobot(horizon=20)`."""
    path, given = (env, {}) if isinstance(env, str) else (env["class_path"], env.get("init_args") or {})
    name = path.rpartition(".")[2]
    return f"{name}({', '.join(f'{key}={value}' for key, value in sorted(given.items()))})" if given else name
