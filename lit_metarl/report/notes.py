"""What a reader must know before believing a comparison, in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lit_metarl.report.bootstrap import MINIMUM_SEEDS
from lit_metarl.report.results import Experiment

ADVISED_SEEDS = 5


def notes_on(experiment: Experiment, metrics: Sequence[str], reference: str | None) -> list[str]:
    """Sentences on one experiment's worlds, seeds, budgets, metrics, and runs that were not used."""
    return [
        *_worlds(experiment),
        *_reference(experiment, reference),
        *_seeds(experiment),
        *_configurations(experiment),
        *_budgets(experiment),
        *_metrics(experiment, metrics),
        *_not_finite(experiment),
        *[f"Not used: {name} – {reason}." for name, reason in experiment.unused.items()],
    ]


def _worlds(experiment: Experiment) -> list[str]:
    if len(experiment.environments) < 2:
        return []
    where = "; ".join(
        f"{env_class}: {', '.join(sorted(str(run.name) for run in experiment.runs if run.facts['environment'] == env_class))}"
        for env_class in experiment.environments
    )
    return [f"Not compared, because its runs are of different worlds ({where})."]


def _reference(experiment: Experiment, reference: str | None) -> list[str]:
    if reference is None or reference in experiment.methods:
        return []
    return [f"It has no finished run of {reference}, so nothing is measured against it."]


def _seeds(experiment: Experiment) -> list[str]:
    seeds = {method: [run.name.seed for run in runs] for method, runs in experiment.methods.items()}
    expected = {name.seed for name in experiment.unused} | {seed for own in seeds.values() for seed in own}
    notes = []
    for method, own in seeds.items():
        missing = sorted(expected - set(own))
        if missing:
            notes.append(f"{method} lacks seed {_listed(missing)} ({len(own)} of {len(expected)} seeds are there).")
    few = [method for method, own in seeds.items() if len(own) < MINIMUM_SEEDS]
    if few:
        notes.append(f"Fewer than {MINIMUM_SEEDS} seeds, so no intervals are drawn: {_listed(few)}.")
    some = [method for method, own in seeds.items() if MINIMUM_SEEDS <= len(own) < ADVISED_SEEDS]
    if some:
        notes.append(
            f"Fewer than {ADVISED_SEEDS} seeds, so intervals are rough and likely too narrow: {_listed(some)}."
        )
    return notes


def _configurations(experiment: Experiment) -> list[str]:
    return [
        f"The seeds of {method} were not run with one configuration."
        for method, runs in experiment.methods.items()
        if len({run.facts["configuration"] for run in runs}) > 1
    ]


def _budgets(experiment: Experiment) -> list[str]:
    ends = {run.name: int(run.steps[-1]) for run in experiment.runs}
    if not ends or min(ends.values()) >= 0.95 * max(ends.values()):
        return []
    shortest = min(ends, key=lambda name: ends[name])
    return [
        f"Runs are of different length: {shortest} ends after {ends[shortest]:,} environment steps, the longest after "
        f"{max(ends.values()):,}. A method's curve ends where its shortest run does."
    ]


def _metrics(experiment: Experiment, metrics: Sequence[str]) -> list[str]:
    notes = []
    for metric in metrics:
        lacking = [str(run.name) for run in experiment.runs if metric not in run.curves]
        if lacking and len(lacking) < len(experiment.runs):
            notes.append(f"{metric} is not in the rows of {_listed(lacking)}.")
        elif lacking:
            notes.append(f"{metric} is in none of its rows.")
    return notes


def _not_finite(experiment: Experiment) -> list[str]:
    notes = []
    for run in experiment.runs:
        for training, figures in run.finals.items():
            lost = [metric for metric, value in figures.items() if not math.isfinite(value)]
            if lost:
                notes.append(
                    f"{run.name} has no finite {_listed(lost)} {training} training and is left out of what is "
                    "estimated from it."
                )
    return notes


def _listed(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values)
