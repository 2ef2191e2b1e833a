"""Learning curves: runs on one grid, their interquartile mean, and the steps to a reference's final return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from envs.errors import require
from lit_metarl.report.rows import REMAKE
from lit_metarl.report.statistics import MINIMUM_SEEDS, Estimate, FloatArray, interquartile_mean, interval, resample

GRID_POINTS = 400
"""A finer grid than this is thinned out to it: no figure shows more."""


@dataclass(frozen=True)
class Curve:
    """One method's interquartile mean over seeds.

    Attributes:
        points: columns `environment_steps`, `value`, `low` and `high` (ends of the interval; NaN with too few seeds).
        resampled: the curve of every bootstrap resample `[resamples, points]`; None with too few seeds.
    """

    points: pd.DataFrame
    resampled: FloatArray | None


def on_common_grid(curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Runs, interpolated linearly onto the steps of all of them within the range that every run covers.

    Args:
        curves: rows of `curves.csv`, of one experiment.
        metric: such as `val/return`.

    Returns:
        `[environment steps, runs]`, columns by method and seed; empty if the ranges do not overlap.
    """
    logged = curves.dropna(subset=[metric])
    runs = logged.pivot(index="environment_steps", columns=["method", "seed"], values=metric)
    grid = runs.interpolate("index", limit_area="inside").dropna().index
    if len(grid) > GRID_POINTS:
        grid = pd.Index(np.linspace(grid[0], grid[-1], GRID_POINTS))
    return runs.reindex(runs.index.union(grid)).interpolate("index", limit_area="inside").loc[grid]


def curve_of(curves: pd.DataFrame, metric: str, resamples: int) -> Curve:
    """The curve of one method.

    Args:
        curves: rows of `curves.csv`, of one method of one experiment; at least one has the metric.
        metric: such as `val/return`.
        resamples: behind the interval.

    Raises:
        ConfigurationError: if the seeds have no environment steps in common.
    """
    name = tuple(curves[["experiment", "method"]].iloc[0])
    runs = on_common_grid(curves, metric)
    require(len(runs) > 0, "rows", "/".join(name), "its seeds have no environment steps in common", REMAKE)
    values = np.ascontiguousarray(runs.to_numpy(dtype=float).T)
    points = pd.DataFrame({"environment_steps": runs.index, "value": interquartile_mean(values, axis=0)})
    if len(values) < MINIMUM_SEEDS:
        return Curve(points.assign(low=np.nan, high=np.nan), None)
    resampled = interquartile_mean(resample(values, resamples, *name, metric), axis=1)
    low, high = interval(resampled)
    return Curve(points.assign(low=low, high=high), resampled)


def averages_over_steps(curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The mean of every run's curve over environment steps: the area under it, divided by its length.

    Args:
        curves: rows of `curves.csv`, of one experiment.
        metric: such as `val/success`.

    Returns:
        `[seeds, methods]`, NaN where there is no such run; empty if the runs have no range of steps in common.
    """
    runs = on_common_grid(curves, metric)
    if len(runs) < 2:
        return pd.DataFrame()
    areas: pd.Series[float] = runs.apply(np.trapezoid, x=runs.index)
    averages: pd.DataFrame = (areas / (runs.index[-1] - runs.index[0])).unstack("method")
    return averages


def first_reached(steps: FloatArray, curves: FloatArray, targets: FloatArray) -> FloatArray:
    """First step at which each curve is at or above its target; infinite if it never is.

    Args:
        steps: `[points]`.
        curves: `[..., points]`.
        targets: `[...]`.
    """
    there = curves >= targets[..., None]
    return np.where(there.any(-1), steps[there.argmax(-1)], np.inf)


def steps_to_reference(curve: Curve, reference: Curve) -> tuple[float, Estimate]:
    """The environment steps that a method needs for the reference's final return, and their share of its budget.

    Both curves must have enough seeds for an interval.

    The final return is the reference's interquartile mean at its last validation, and the budget the environment
    steps of that validation. The reference's own curve may have been there before its end. The interval resamples
    the seeds of both methods, independently.

    Returns:
        The first environment step at which the curve is there, infinite if it never is; and the share.
    """
    grid, value = curve.points["environment_steps"].to_numpy(dtype=float), curve.points["value"].to_numpy()
    budget, target = reference.points[["environment_steps", "value"]].to_numpy(dtype=float)[-1]
    steps = float(first_reached(grid, value, target))
    assert curve.resampled is not None
    assert reference.resampled is not None
    low, high = interval(first_reached(grid, curve.resampled, reference.resampled[:, -1]) / budget)
    return steps, Estimate(steps / budget, float(low), float(high))
