"""What a reader must know before believing the numbers, in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from lit_metarl.report.page import rounded
from lit_metarl.report.rows import FINISHED, MONITOR, SUCCESS, Experiment
from lit_metarl.report.statistics import MINIMUM_SEEDS

ADVISED_SEEDS = 5
NO_BREAK = "\N{NO-BREAK SPACE}"


def notes_on(experiment: Experiment, metrics: Sequence[str], reference: str | None) -> list[str]:
    """Sentences on one experiment's environments, seeds, budgets, metrics, and runs that were not used."""
    notes = []
    runs = experiment.runs
    if len(experiment.environments) > 1:
        where = [f"{env}: {_listed(sorted(own['run']))}" for env, own in runs.groupby("environment")]
        notes.append(f"Not compared, because its runs are of different environments ({'; '.join(where)}).")
    if reference is not None and reference not in experiment.seeds:
        notes.append(f"It has no finished run of {reference}, so nothing is measured against it.")
    notes += _on_seeds(experiment)
    if len(shares := _methods_by(runs["cvar_alpha"].map(worst_tasks), runs)) > 1:
        notes.append(f"CVaR is not comparable, because its share of tasks differs: {_listed(shares)}.")
    for metric in dict.fromkeys((*metrics, SUCCESS, "test/return", "test/cvar")):
        if metric in experiment.constants:
            value, kind = rounded(experiment.constants[metric]), metric.partition("/")[0]
            measured = {"val": "validation", "test": "test after training"}[kind]
            notes.append(f"{metric} is {value} in every {measured} of every run, so it is not plotted.")
    for method, own in runs.groupby("method"):
        if own["configuration"].nunique() > 1:
            notes.append(f"The seeds of {method} were not run with one configuration.")
    if len(unfinished := runs.loc[runs["status"] != FINISHED, "run"]):
        notes.append(f"Not finished, so there is no test after training: {_listed(unfinished)}.")
    if len(blind := sorted(set(runs["run"]) - set(experiment.curves["run"]))):
        notes.append(
            f"No validation, so there is neither a curve nor a best checkpoint, and what was tested is the agent at "
            f"the end: {_listed(blind)}."
        )
    ends = experiment.curves.groupby("run", sort=False)["environment_steps"].max()
    if len(ends) and ends.min() < 0.95 * ends.max():
        notes.append(
            f"Runs are of different length: {ends.idxmin()} ends after {ends.min():,.0f} environment steps, the "
            f"longest after {ends.max():,.0f}. A method's curve ends where its shortest run does, and all means over "
            "training where the shortest of the experiment does."
        )
    for metric in metrics if len(runs) else []:
        logged = set(experiment.curves.dropna(subset=[metric])["run"]) if metric in experiment.metrics else set()
        lacking = [run for run in runs["run"] if run not in logged and run not in blind]
        if lacking:
            notes.append(f"{metric} is not in the rows of {_listed(lacking)}.")
    lost = experiment.finals[~np.isfinite(experiment.finals["value"])]
    for (run, training), own in lost.groupby(["run", "training"], sort=False):
        notes.append(
            f"{run} has no finite {_listed(own['metric'])} {training} training and is left out of what is estimated "
            "from it."
        )
    return notes + [f"Not used: {row.run} – {row.status}." for row in experiment.unused.itertuples()]


def tested(experiment: Experiment) -> list[str]:
    """Which checkpoint was tested after training, and a warning if it was not chosen alike; nothing if unknown."""
    runs = experiment.runs[experiment.runs["status"] == FINISHED]
    if not runs[MONITOR].any():
        return []
    chosen = runs[MONITOR].map(_checkpoint).where(runs["run"].isin(experiment.curves["run"]), "the agent at the end")
    if chosen.nunique() == 1:
        return [f"Tested: {chosen.iloc[0]}."]
    warning = "Checkpoints were not chosen alike, so part of a difference after training may come from that choice."
    return [f"Tested: {_listed(_methods_by(chosen, runs))}.", warning]


def trained(experiment: Experiment) -> str:
    """How long the runs were: ranges of environment steps and meta-steps, and of the tested checkpoints' steps."""
    names = {"environment_steps": "environment steps", "progress/meta_steps": "meta-steps"}
    logged = [name for name in names if name in experiment.curves and experiment.curves[name].notna().any()]
    ends = experiment.curves.groupby("run")[logged].max()
    length = [f"{_range(ends[name])} {names[name]}" for name in logged]
    sentences = [f"Length, up to the last validation: {_listed(length)}."] if len(ends) else []
    after = experiment.finals.loc[experiment.finals["training"] == "after", "environment_steps"]
    if len(after):
        sentences.append(f"Tested after {_range(after)} environment steps.")
    return " ".join(sentences)


def _range(counts: pd.Series[float]) -> str:
    """The least and the largest of some counts; once if they are equal."""
    return "–".join(dict.fromkeys(f"{count:,.0f}" for count in (counts.min(), counts.max())))


def worst_tasks(alpha: str) -> str:
    """The tasks that a CVaR is of, by the `cvar_alpha` of a run; "" is unknown."""
    return f"worst {100 * float(alpha):g}{NO_BREAK}% of tasks" if alpha else "worst tasks"


def _checkpoint(monitor: str) -> str:
    known = {"": "unknown", "step": "the last checkpoint", "epoch": "the last checkpoint"}
    return known.get(monitor, f"the checkpoint with the best {monitor}")


def _methods_by(words: pd.Series[str], runs: pd.DataFrame) -> list[str]:
    """What runs have, with the methods that have it."""
    return [f"{word} ({_listed(own.unique())})" for word, own in runs["method"].groupby(words)]


def _on_seeds(experiment: Experiment) -> Iterator[str]:
    expected = set(experiment.runs["seed"]) | set(experiment.unused["seed"])
    seeds = experiment.seeds
    for method, own in seeds.items():
        if missing := sorted(expected - set(own)):
            yield f"{method} lacks seed {_listed(missing)} ({len(own)} of {len(expected)} seeds are there)."
    if few := [method for method, own in seeds.items() if len(own) < MINIMUM_SEEDS]:
        yield f"Fewer than {MINIMUM_SEEDS} seeds, so no intervals, and differences may be chance: {_listed(few)}."
    if some := [method for method, own in seeds.items() if MINIMUM_SEEDS <= len(own) < ADVISED_SEEDS]:
        yield f"Fewer than {ADVISED_SEEDS} seeds, so intervals are rough and likely too narrow: {_listed(some)}."


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
