"""The estimators of Agarwal et al. (2021), vectorized over resamples, and their bootstrap intervals."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 2000
"""Bootstrap resamples behind every interval, unless told otherwise."""
MINIMUM_SEEDS = 3
"""Fewer seeds than this get no interval."""


class Estimate(NamedTuple):
    """An estimate from the seeds themselves, and both ends of its 95 % interval; NaN where there are too few seeds."""

    value: float
    low: float = math.nan
    high: float = math.nan


def interquartile_mean(*strata: FloatArray, axis: int = -1) -> FloatArray:
    """Mean of the middle half of all scores along `axis`: 25 % are cut at each end (whole values, rounded down).

    With three values or fewer nothing is cut, and it is the mean. The runs of several strata are pooled (Agarwal et
    al., section 4.3).
    """
    scores = np.concatenate(strata, axis=axis)
    return np.asarray(stats.trim_mean(scores, proportiontocut=0.25, axis=axis), dtype=np.float64)


def probability_of_improvement(*strata: FloatArray) -> FloatArray:
    """P(X > Y) + P(X = Y) / 2 over all pairs: the Mann-Whitney statistic as a share (Agarwal et al., section 4.3).

    No score may be NaN: it would count as a loss.

    Args:
        strata: scores of X `[..., runs of X]` and of Y `[..., runs of Y]`; with several experiments, of each in turn.

    Returns:
        `[...]`, between 0 and 1; the mean over experiments.
    """
    pairs = [(x[..., :, None], y[..., None, :]) for x, y in zip(strata[::2], strata[1::2])]
    by_experiment = [((x > y) + 0.5 * (x == y)).mean(axis=(-2, -1)) for x, y in pairs]
    return np.asarray(np.mean(by_experiment, axis=0), dtype=np.float64)


def resample(values: FloatArray, resamples: int, *purpose: str) -> FloatArray:
    """Whole seeds of one stratum, sampled with replacement.

    Args:
        values: `[seeds, ...]`.
        resamples: how many.
        purpose: what is resampled. Each purpose has its own random stream, so a method's interval does not depend on
            which other methods are in the report.

    Returns:
        `[resamples, seeds, ...]`.
    """
    generator = np.random.default_rng([0, zlib.crc32("\n".join(purpose).encode())])
    return values[generator.integers(len(values), size=(resamples, len(values)))]


def interval(distribution: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both ends of the percentile interval of `[resamples, ...]`, each `[...]`; infinities are values like others."""
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(distribution, [tail, 1.0 - tail], axis=0, method="inverted_cdf")
    return low, high


def estimate(statistic: Callable[..., Any], strata: Mapping[Any, FloatArray], resamples: int) -> Estimate:
    """A statistic of independent strata, with its stratified bootstrap interval.

    Args:
        statistic: from strata `[..., seeds]`, one argument each, to `[...]`.
        strata: scores `[seeds]` by what they are resampled for; each stratum is resampled independently of the others.
        resamples: behind the interval.

    Returns:
        The estimate; without an interval if a stratum has fewer than `MINIMUM_SEEDS` seeds.
    """
    value = float(statistic(*strata.values()))
    if min(map(len, strata.values())) < MINIMUM_SEEDS:
        return Estimate(value)
    low, high = interval(statistic(*(resample(scores, resamples, *purpose) for purpose, scores in strata.items())))
    return Estimate(value, float(low), float(high))
