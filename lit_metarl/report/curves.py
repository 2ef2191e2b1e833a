"""Learning curves: seeds on one grid, their interquartile mean, and the steps to a reference's final return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from envs.errors import require
from lit_metarl.report.rows import REMAKE
from lit_metarl.report.statistics import (
    MINIMUM_SEEDS,
    Bootstrap,
    Estimate,
    FloatArray,
    interquartile_mean,
    interval,
)

GRID_POINTS = 400
"""A finer grid than this is thinned out to it: no figure shows more."""


@dataclass(frozen=True)
class Curve:
    """One method's interquartile mean over seeds.

    Attributes:
        steps: environment steps `[grid]`.
        value: `[grid]`.
        low: lower end of the interval `[grid]`; NaN with too few seeds.
        high: its upper end.
        resampled: the curve of every bootstrap resample `[resamples, grid]`; None with too few seeds.
    """

    steps: FloatArray
    value: FloatArray
    low: FloatArray
    high: FloatArray
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


def curve_of(rows: pd.DataFrame, metric: str, bootstrap: Bootstrap) -> Curve:
    """The curve of one method, its seeds interpolated linearly onto a common grid.

    Args:
        rows: of `curves.csv`, of one method of one experiment; at least one has the metric.
        metric: such as `val/return`.
        bootstrap: how resamples are drawn.

    Raises:
        ConfigurationError: if the seeds have no environment steps in common.
    """
    logged = rows.dropna(subset=[metric])
    experiment, method = logged[["experiment", "method"]].iloc[0]
    seeds = [own[["environment_steps", metric]].to_numpy(dtype=float).T for _, own in logged.groupby("seed")]
    grid = common_grid([steps for steps, _ in seeds])
    reason = "its seeds have no environment steps in common"
    require(len(grid) > 0, "rows", f"{experiment}/{method}", reason, REMAKE)
    values = np.stack([np.interp(grid, steps, own) for steps, own in seeds])
    value, none = interquartile_mean(values, axis=0), np.full(len(grid), np.nan)
    if len(seeds) < MINIMUM_SEEDS:
        return Curve(grid, value, none, none, None)
    resampled = interquartile_mean(bootstrap.resample(values, experiment, method, metric), axis=1)
    return Curve(grid, value, *interval(resampled), resampled)


def averages_over_steps(curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The mean of every run's curve over environment steps: the area under it, divided by its length.

    Validations are joined by straight lines, within the range of steps that all runs cover.

    Args:
        curves: rows of `curves.csv`, of one experiment.
        metric: such as `val/success`.

    Returns:
        `[seeds, methods]`, NaN where there is no such run; empty if the runs have no range of steps in common.
    """
    logged = curves.dropna(subset=[metric]).groupby(["seed", "method"])
    runs = {key: own[["environment_steps", metric]].to_numpy(dtype=float).T for key, own in logged}
    grid = common_grid([steps for steps, _ in runs.values()]) if runs else np.empty(0)
    if len(grid) < 2:
        return pd.DataFrame()
    length = grid[-1] - grid[0]
    means = {key: float(np.trapezoid(np.interp(grid, *own), grid)) / length for key, own in runs.items()}
    return pd.Series(means).unstack()


def first_reached(steps: FloatArray, curves: FloatArray, targets: FloatArray) -> FloatArray:
    """First step at which each curve is at or above its target; infinite if it never is.

    Args:
        steps: `[grid]`.
        curves: `[..., grid]`.
        targets: `[...]`.
    """
    there = curves >= targets[..., None]
    return np.where(there.any(-1), steps[there.argmax(-1)], np.inf)


def steps_to_reference(curve: Curve, reference: Curve) -> tuple[float, Estimate]:
    """The environment steps that a method needs for the reference's final return, and their share of its budget.

    The final return is the reference's interquartile mean at its last validation, and the budget the environment
    steps of that validation. The reference's own curve may have been there before its end. The interval resamples
    the seeds of both methods, independently.

    Returns:
        The first environment step at which the curve is there, infinite if it never is; and the share.
    """
    budget = float(reference.steps[-1])
    steps = float(first_reached(curve.steps, curve.value, reference.value[-1]))
    if curve.resampled is None or reference.resampled is None:
        return steps, Estimate(steps / budget)
    reached = first_reached(curve.steps, curve.resampled, reference.resampled[:, -1])
    low, high = interval(reached / budget)
    return steps, Estimate(steps / budget, float(low), float(high))
