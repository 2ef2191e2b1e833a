"""Methods over several experiments at once, each experiment a stratum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lit_metarl.report.bootstrap import Bootstrap, Estimate, estimate
from lit_metarl.report.comparison import FINAL_RETURN, Comparison
from lit_metarl.report.estimators import FloatArray, interquartile_mean, probability_of_improvement


@dataclass(frozen=True)
class AcrossExperiments:
    """Figures over all experiments that can be put together.

    Attributes:
        normalized: by method, the interquartile mean of normalized final returns over all seeds of all experiments
            in `on_scale`.
        on_scale: experiments whose returns could be normalized.
        improvement: by pair (X, Y), the probability of improvement averaged over `experiments`.
        experiments: all that could be compared.
        left_out: methods that not all of them have.
    """

    normalized: Mapping[str, Estimate]
    on_scale: Sequence[str]
    improvement: Mapping[tuple[str, str], Estimate]
    experiments: Sequence[str]
    left_out: Sequence[str]


def across(
    comparisons: Sequence[Comparison], methods: Sequence[str], reference: str | None, bootstrap: Bootstrap
) -> AcrossExperiments | None:
    """Put experiments together; None with fewer than two, or with fewer than two methods that all of them have.

    Args:
        comparisons: the experiments.
        methods: all methods of the report, in order.
        reference: the method whose final return is 1 on the normalized scale.
        bootstrap: how resamples are drawn.
    """
    finals = {one.experiment.name: one.finals.get(FINAL_RETURN, {}) for one in comparisons}
    shared = [method for method in methods if all(method in by_method for by_method in finals.values())]
    if len(finals) < 2 or len(shared) < 2:
        return None
    left_out = [method for method in methods if method not in shared]
    scales = {one.experiment.name: _scale(one, reference) for one in comparisons} if reference in shared else {}
    usable = {name: ends for name, ends in scales.items() if ends is not None}
    normalized = {}
    for method in shared if usable else []:
        scores = [(finals[name][method].values - zero) / (one - zero) for name, (zero, one) in usable.items()]
        purposes = [(name, method, FINAL_RETURN) for name in usable]
        normalized[method] = estimate(_pooled_iqm, scores, bootstrap, purposes)
    ordered = [method for method in shared if method != reference] + [m for m in shared if m == reference]
    improvement = {}
    for x, y in combinations(ordered, 2):
        strata = [by_method[method].values for by_method in finals.values() for method in (x, y)]
        purposes = [(name, method, FINAL_RETURN) for name in finals for method in (x, y)]
        improvement[x, y] = estimate(_mean_improvement, strata, bootstrap, purposes)
    return AcrossExperiments(normalized, list(usable), improvement, list(finals), left_out)


def _scale(comparison: Comparison, reference: str | None) -> tuple[float, float] | None:
    """Returns that count as 0 (untrained, mean over all runs) and 1 (the reference's final one); None if not 0 < 1."""
    before = [
        run.finals["before"][FINAL_RETURN]
        for run in comparison.experiment.runs
        if math.isfinite(run.finals.get("before", {}).get(FINAL_RETURN, math.nan))
    ]
    if reference is None or not before:
        return None
    zero, one = float(np.mean(before)), comparison.finals[FINAL_RETURN][reference].iqm.value
    return (zero, one) if one > zero else None


def _pooled_iqm(strata: Sequence[FloatArray]) -> FloatArray:
    """Interquartile mean over the runs of all strata together (Agarwal et al., section 4.3)."""
    return interquartile_mean(np.concatenate(strata, axis=-1))


def _mean_improvement(strata: Sequence[FloatArray]) -> FloatArray:
    """Mean over experiments of the probability of improvement; strata alternate between X and Y."""
    by_experiment = [probability_of_improvement(x, y) for x, y in zip(strata[::2], strata[1::2])]
    return np.asarray(np.mean(by_experiment, axis=0), dtype=np.float64)
