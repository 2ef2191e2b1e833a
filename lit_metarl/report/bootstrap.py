"""Percentile bootstrap over seeds, stratified where several experiments are put together."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lit_metarl.report.estimators import FloatArray

CONFIDENCE = 0.95
MINIMUM_SEEDS = 3
"""Below this an interval says nothing, and none is given."""


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


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: the estimate from the seeds themselves.
        low: lower end of the 95 % interval; None where there are too few seeds.
        high: its upper end.
    """

    value: float
    low: float | None
    high: float | None


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
        return Estimate(value, None, None)
    resampled = [bootstrap.resample(stratum, *purpose) for stratum, purpose in zip(strata, purposes)]
    low, high = interval(statistic(resampled))
    return Estimate(value, float(low), float(high))
