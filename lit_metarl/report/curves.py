"""Learning curves: seeds on one grid, their interquartile mean, its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs.errors import require
from lit_metarl.report.bootstrap import MINIMUM_SEEDS, Bootstrap, interval
from lit_metarl.report.estimators import FloatArray, interquartile_mean
from lit_metarl.report.results import Run
from lit_metarl.report.row_files import REMAKE

GRID_POINTS = 400
"""A finer grid than this is thinned out to it: no figure shows more."""


@dataclass(frozen=True)
class Curve:
    """One method's interquartile mean over seeds.

    Attributes:
        steps: environment steps `[grid]`.
        value: `[grid]`.
        low: lower end of the interval `[grid]`; None with too few seeds.
        high: its upper end.
        resampled: the curve of every bootstrap resample `[resamples, grid]`; None with too few seeds.
    """

    steps: FloatArray
    value: FloatArray
    low: FloatArray | None
    high: FloatArray | None
    resampled: FloatArray | None


def common_grid(steps: Sequence[FloatArray]) -> FloatArray:
    """The steps of all seeds within the range that every seed covers, so that nothing is extrapolated.

    Args:
        steps: by seed, ascending, `[validations]` each.

    Returns:
        `[grid]`, empty if the ranges do not overlap.
    """
    first, last = max(step[0] for step in steps), min(step[-1] for step in steps)
    union = np.unique(np.concatenate(steps))
    grid = union[(union >= first) & (union <= last)]
    return grid if len(grid) <= GRID_POINTS else np.linspace(first, last, GRID_POINTS)


def on_grid(runs: Sequence[Run], metric: str) -> tuple[FloatArray, FloatArray]:
    """Curves of seeds on a common grid, linearly interpolated.

    Args:
        runs: of one method; all must have the metric.
        metric: such as `val/return`.

    Returns:
        Environment steps `[grid]` and values `[seeds, grid]`.

    Raises:
        ConfigurationError: if the seeds have no environment steps in common.
    """
    present = [~np.isnan(run.curves[metric]) for run in runs]
    steps = [run.steps[here] for run, here in zip(runs, present)]
    grid = common_grid(steps)
    place = f"{runs[0].name.experiment}/{runs[0].name.method}"
    require(len(grid) > 0, "rows", place, "its seeds have no environment steps in common", REMAKE)
    values = [np.interp(grid, step, run.curves[metric][here]) for run, step, here in zip(runs, steps, present)]
    return grid, np.stack(values)


def curve_of(runs: Sequence[Run], metric: str, bootstrap: Bootstrap) -> Curve:
    """The curve of one method's runs."""
    steps, values = on_grid(runs, metric)
    value = interquartile_mean(values, axis=0)
    if len(runs) < MINIMUM_SEEDS:
        return Curve(steps, value, None, None, None)
    name = runs[0].name
    resampled = interquartile_mean(bootstrap.resample(values, name.experiment, name.method, metric), axis=1)
    low, high = interval(resampled)
    return Curve(steps, value, low, high, resampled)
