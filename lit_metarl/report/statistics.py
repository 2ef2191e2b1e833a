"""The estimators of Agarwal et al. (2021), vectorized over resamples, and their bootstrap intervals."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]

CONFIDENCE = 0.95
MINIMUM_SEEDS = 3
"""Fewer seeds than this get no interval."""


def interquartile_mean(scores: FloatArray, axis: int = -1) -> FloatArray:
    """Mean of the middle half of `scores` along `axis`: 25 % are cut at each end (whole values, rounded down).

    With three values or fewer nothing is cut, and it is the mean.
    """
    return np.asarray(stats.trim_mean(scores, proportiontocut=0.25, axis=axis), dtype=np.float64)


def pooled_interquartile_mean(strata: Sequence[FloatArray]) -> FloatArray:
    """Interquartile mean over the runs of all strata together (Agarwal et al., section 4.3)."""
    return interquartile_mean(np.concatenate(strata, axis=-1))


def probability_of_improvement(better: FloatArray, worse: FloatArray) -> FloatArray:
    """P(X > Y) + P(X = Y) / 2 over all pairs: the Mann-Whitney statistic as a share (Agarwal et al., section 4.3).

    No score may be NaN: it would count as a loss.

    Args:
        better: scores of X `[..., runs of X]`.
        worse: scores of Y `[..., runs of Y]`.

    Returns:
        `[...]`, between 0 and 1.
    """
    x, y = better[..., :, None], worse[..., None, :]
    return np.asarray(((x > y) + 0.5 * (x == y)).mean(axis=(-2, -1)), dtype=np.float64)


def mean_improvement(strata: Sequence[FloatArray]) -> FloatArray:
    """Mean over experiments of the probability of improvement; strata alternate between X and Y."""
    by_experiment = [probability_of_improvement(x, y) for x, y in zip(strata[::2], strata[1::2])]
    return np.asarray(np.mean(by_experiment, axis=0), dtype=np.float64)


@dataclass(frozen=True)
class Bootstrap:
    """How resamples are drawn.

    Attributes:
        resamples: how many.
        seed: of the random stream.
    """

    resamples: int = 2000
    seed: int = 0

    def resample(self, values: FloatArray, *purpose: str) -> FloatArray:
        """Whole seeds of one stratum, drawn with replacement.

        Args:
            values: `[seeds, ...]`.
            purpose: what is resampled. Each purpose has its own stream, so a method's interval does not depend on
                which other methods are in the report.

        Returns:
            `[resamples, seeds, ...]`.
        """
        generator = np.random.default_rng([self.seed, zlib.crc32("\n".join(purpose).encode())])
        seeds = len(values)
        return values[generator.integers(seeds, size=(self.resamples, seeds))]


class Estimate(NamedTuple):
    """An estimate from the seeds themselves, and both ends of its 95 % interval; NaN where there are too few seeds."""

    value: float
    low: float = math.nan
    high: float = math.nan


def interval(distribution: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both ends of the percentile interval of `[resamples, ...]`, each `[...]`; infinities are values like others."""
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(distribution, [tail, 1.0 - tail], axis=0, method="inverted_cdf")
    return low, high


def estimate(
    statistic: Callable[[Sequence[FloatArray]], FloatArray],
    strata: Sequence[FloatArray],
    bootstrap: Bootstrap,
    purposes: Sequence[tuple[str, ...]],
) -> Estimate:
    """A statistic of independent strata, with its stratified bootstrap interval.

    Args:
        statistic: from strata `[..., seeds]` to `[...]`.
        strata: scores by stratum, `[seeds]` each; resampled independently of each other.
        bootstrap: how resamples are drawn.
        purposes: by stratum, what its stream of resamples is for.

    Returns:
        The estimate; without an interval if a stratum has fewer than `MINIMUM_SEEDS` seeds.
    """
    value = float(statistic(strata))
    if min(len(stratum) for stratum in strata) < MINIMUM_SEEDS:
        return Estimate(value)
    resampled = [bootstrap.resample(stratum, *purpose) for stratum, purpose in zip(strata, purposes)]
    low, high = interval(statistic(resampled))
    return Estimate(value, float(low), float(high))
