"""The estimators of Agarwal et al. (2021), vectorized over resamples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]


def interquartile_mean(scores: FloatArray, axis: int = -1) -> FloatArray:
    """Mean of the middle half of `scores` along `axis`: 25 % are cut at each end (whole values, rounded down).

    With three values or fewer nothing is cut, and it is the mean.
    """
    return np.asarray(stats.trim_mean(scores, proportiontocut=0.25, axis=axis), dtype=np.float64)


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
