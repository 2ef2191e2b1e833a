"""The tables as CSV files: every number that a figure or the page shows, unrounded, one row a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from lit_metarl.report.across_experiments import AcrossExperiments
from lit_metarl.report.bootstrap import Estimate
from lit_metarl.report.comparison import Comparison
from lit_metarl.report.row_files import Row, write_rows

ALL_EXPERIMENTS = "(all)"
INTERVAL = ("value", "low", "high")
FINAL_COLUMNS = ("metric", "seeds", *INTERVAL, "mean", "by_seed")
REFERENCE_COLUMNS = ("target_return", "environment_steps", "ratio", "low", "high")


def write_tables(folder: Path, comparisons: Sequence[Comparison], together: AcrossExperiments | None) -> None:
    """Write all tables into `folder`.

    Raises:
        ConfigurationError: if a file cannot be written.
    """
    place = ("experiment", "method")
    write_rows(folder / "curves.csv", (*place, "metric", "environment_steps", *INTERVAL), _curves(comparisons))
    write_rows(folder / "final.csv", (*place, *FINAL_COLUMNS), _finals(comparisons, together))
    write_rows(folder / "adaptation.csv", (*place, "episode", *INTERVAL), _adaptation(comparisons))
    pairs = ("experiment", "better", "worse", *INTERVAL)
    write_rows(folder / "probability_of_improvement.csv", pairs, _improvement(comparisons, together))
    if any(one.to_reference for one in comparisons):
        write_rows(folder / "steps_to_reference.csv", (*place, *REFERENCE_COLUMNS), _to_reference(comparisons))


def _estimate(estimate: Estimate) -> dict[str, str | int | float | None]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _curves(comparisons: Sequence[Comparison]) -> list[Row]:
    rows: list[Row] = []
    for one in comparisons:
        for metric, curves in one.curves.items():
            for method, curve in curves.items():
                key = {"experiment": one.experiment.name, "method": method, "metric": metric}
                for place, step in enumerate(curve.steps):
                    ends = {} if curve.low is None or curve.high is None else {
                        "low": float(curve.low[place]),
                        "high": float(curve.high[place]),
                    }  # fmt: skip
                    rows.append({**key, "environment_steps": float(step), "value": float(curve.value[place]), **ends})
    return rows


def _finals(comparisons: Sequence[Comparison], together: AcrossExperiments | None) -> list[Row]:
    rows: list[Row] = []
    for one in comparisons:
        for metric, finals in one.finals.items():
            for method, final in finals.items():
                rows.append(
                    {
                        "experiment": one.experiment.name,
                        "method": method,
                        "metric": metric,
                        "seeds": " ".join(str(seed) for seed in final.seeds),
                        **_estimate(final.iqm),
                        "mean": float(final.values.mean()),
                        "by_seed": " ".join(str(float(value)) for value in final.values),
                    }
                )
    if together is not None:
        for method, estimate in together.normalized.items():
            key = {"experiment": ALL_EXPERIMENTS, "method": method, "metric": "normalized return"}
            rows.append({**key, **_estimate(estimate)})
    return rows


def _adaptation(comparisons: Sequence[Comparison]) -> list[Row]:
    return [
        {"experiment": one.experiment.name, "method": method, "episode": episode, **_estimate(estimate)}
        for one in comparisons
        for method, estimates in one.adaptation.items()
        for episode, estimate in enumerate(estimates, start=1)
    ]


def _improvement(comparisons: Sequence[Comparison], together: AcrossExperiments | None) -> list[Row]:
    groups = [(one.experiment.name, one.improvement) for one in comparisons]
    if together is not None:
        groups.append((ALL_EXPERIMENTS, together.improvement))
    return [
        {"experiment": name, "better": better, "worse": worse, **_estimate(estimate)}
        for name, pairs in groups
        for (better, worse), estimate in pairs.items()
    ]


def _to_reference(comparisons: Sequence[Comparison]) -> list[Row]:
    return [
        {
            "experiment": one.experiment.name,
            "method": method,
            "target_return": found.target,
            "environment_steps": _finite(found.steps),
            "ratio": _finite(found.ratio.value),
            "low": _finite(found.ratio.low),
            "high": _finite(found.ratio.high),
        }
        for one in comparisons
        for method, found in one.to_reference.items()
    ]


def _finite(value: float | None) -> float | str | None:
    return "never" if value == math.inf else value
