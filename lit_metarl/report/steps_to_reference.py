"""How many environment steps a method needs for what the reference method ends with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lit_metarl.report.bootstrap import Estimate, interval
from lit_metarl.report.curves import Curve
from lit_metarl.report.estimators import FloatArray


@dataclass(frozen=True)
class StepsToReference:
    """One method's way to the reference method's final return.

    Attributes:
        target: the reference's interquartile mean at its last validation.
        steps: first environment step at which this method's curve is there; infinite if never.
        ratio: `steps` as a share of the reference's budget (its last validation's environment steps).
    """

    target: float
    steps: float
    ratio: Estimate


def first_reached(steps: FloatArray, curves: FloatArray, targets: FloatArray) -> FloatArray:
    """First step at which each curve is at or above its target; infinite if it never is.

    Args:
        steps: `[grid]`.
        curves: `[..., grid]`.
        targets: `[...]`.
    """
    there = curves >= targets[..., None]
    return np.where(there.any(-1), steps[there.argmax(-1)], np.inf)


def steps_to_reference(curves: Mapping[str, Curve], reference: str) -> dict[str, StepsToReference]:
    """For every method, the reference included (whose own curve may have been there before its end).

    The interval resamples the seeds of both methods, independently.
    """
    goal = curves[reference]
    budget, target = float(goal.steps[-1]), goal.value[-1]
    found = {}
    for method, curve in curves.items():
        steps = float(first_reached(curve.steps, curve.value, np.asarray(target)))
        low: float | None = None
        high: float | None = None
        if curve.resampled is not None and goal.resampled is not None:
            reached = first_reached(curve.steps, curve.resampled, goal.resampled[:, -1])
            ends = interval(reached / budget)
            low, high = float(ends[0]), float(ends[1])
        found[method] = StepsToReference(float(target), steps, Estimate(steps / budget, low, high))
    return found
