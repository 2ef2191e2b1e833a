"""Everything that is said about one experiment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lit_metarl.report.bootstrap import Bootstrap, Estimate, estimate
from lit_metarl.report.curves import Curve, curve_of
from lit_metarl.report.estimators import FloatArray, interquartile_mean, probability_of_improvement
from lit_metarl.report.results import Experiment, Run
from lit_metarl.report.steps_to_reference import StepsToReference, steps_to_reference

RETURN = "val/return"
FINAL_RETURN = "test/return"
EPISODE = "test/return_episode_"


@dataclass(frozen=True)
class Final:
    """One method's test figure after training.

    Attributes:
        seeds: of the runs whose figure is finite.
        values: by seed `[seeds]`.
        iqm: interquartile mean over seeds.
    """

    seeds: list[int]
    values: FloatArray
    iqm: Estimate


@dataclass(frozen=True)
class Comparison:
    """One experiment, analyzed.

    Attributes:
        experiment: the runs.
        curves: by metric and method.
        finals: by test metric and method.
        adaptation: by method, one estimate an episode of the trial.
        improvement: by pair of methods (X, Y), the probability that a seed of X ends with more return than one of Y.
        to_reference: by method; empty without the reference.
    """

    experiment: Experiment
    curves: Mapping[str, Mapping[str, Curve]]
    finals: Mapping[str, Mapping[str, Final]]
    adaptation: Mapping[str, Sequence[Estimate]]
    improvement: Mapping[tuple[str, str], Estimate]
    to_reference: Mapping[str, StepsToReference]


def compare(
    experiment: Experiment, methods: Sequence[str], metrics: Sequence[str], reference: str | None, bootstrap: Bootstrap
) -> Comparison:
    """Analyse one experiment.

    Args:
        experiment: its runs.
        methods: all methods of the report, in order.
        metrics: validation metrics to draw curves of.
        reference: the method that others are measured against, if any.
        bootstrap: how resamples are drawn.
    """
    here = {method: experiment.methods[method] for method in methods if method in experiment.methods}
    curves = {metric: _curves(here, metric, bootstrap) for metric in metrics}
    curves = {metric: by_method for metric, by_method in curves.items() if by_method}
    names = sorted({metric for run in experiment.runs for metric in run.finals.get("after", {})})
    finals = {metric: _finals(here, metric, bootstrap) for metric in names}
    returns = curves.get(RETURN) or _curves(here, RETURN, bootstrap)
    return Comparison(
        experiment,
        curves,
        finals,
        _adaptation(here, finals),
        _improvement(finals.get(FINAL_RETURN, {}), reference, experiment.name, bootstrap),
        steps_to_reference(returns, reference) if reference in returns else {},
    )


def _curves(methods: Mapping[str, list[Run]], metric: str, bootstrap: Bootstrap) -> dict[str, Curve]:
    having = {method: [run for run in runs if metric in run.curves] for method, runs in methods.items()}
    return {method: curve_of(runs, metric, bootstrap) for method, runs in having.items() if runs}


def _finals(methods: Mapping[str, list[Run]], metric: str, bootstrap: Bootstrap) -> dict[str, Final]:
    found = {}
    for method, runs in methods.items():
        given = {run.name.seed: run.finals.get("after", {}).get(metric, math.nan) for run in runs}
        values = {seed: value for seed, value in given.items() if math.isfinite(value)}
        if values:
            scores = np.array(list(values.values()))
            purpose = (runs[0].name.experiment, method, metric)
            iqm = estimate(lambda strata: interquartile_mean(strata[0]), [scores], bootstrap, [purpose])
            found[method] = Final(list(values), scores, iqm)
    return found


def _adaptation(
    methods: Mapping[str, list[Run]], finals: Mapping[str, Mapping[str, Final]]
) -> dict[str, list[Estimate]]:
    episodes = sorted(int(metric.removeprefix(EPISODE)) for metric in finals if metric.startswith(EPISODE))
    estimates: dict[str, list[Estimate]] = {}
    for method in methods:
        by_episode = [finals[f"{EPISODE}{episode}"].get(method) for episode in episodes]
        curve = [final.iqm for final in by_episode if final is not None]
        if curve and len(curve) == len(by_episode):  # else the later episodes would stand in the place of earlier ones
            estimates[method] = curve
    return estimates


def _improvement(
    finals: Mapping[str, Final], reference: str | None, experiment: str, bootstrap: Bootstrap
) -> dict[tuple[str, str], Estimate]:
    """Of all pairs; the reference comes second, so that its pairs read as "better than the reference"."""
    ordered = [method for method in finals if method != reference] + [reference] * (reference in finals)
    pairs = [(x, y) for x, y in combinations(ordered, 2) if x is not None and y is not None]
    return {
        (x, y): estimate(
            lambda strata: probability_of_improvement(strata[0], strata[1]),
            [finals[x].values, finals[y].values],
            bootstrap,
            [(experiment, x, FINAL_RETURN), (experiment, y, FINAL_RETURN)],
        )
        for x, y in pairs
    }
