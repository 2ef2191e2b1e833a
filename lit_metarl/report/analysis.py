"""What is said about the experiments, as tables: every number that a figure or the page shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lit_metarl.report.curves import Curve, averages_over_steps, curve_of, steps_to_reference
from lit_metarl.report.rows import SUCCESS, TASK_MEANS, Experiment, write_table
from lit_metarl.report.statistics import (
    Bootstrap,
    Estimate,
    FloatArray,
    estimate,
    interquartile_mean,
    mean_improvement,
    pooled_interquartile_mean,
    probability_of_improvement,
)

RETURN = "val/return"
FINAL_RETURN = "test/return"
NORMALIZED = "normalized return"
EPISODE = "test/return_episode_"
ACROSS = "(all)"
"""Stands for the experiment in rows about all of them together."""

INTERVAL = ["value", "low", "high"]
DIFFERENCE = ["difference", "difference_low", "difference_high"]
COLUMNS = {
    "curves": ["experiment", "method", "metric", "environment_steps", *INTERVAL],
    "average_over_steps": ["experiment", "method", "metric", *INTERVAL, *DIFFERENCE],
    "final": ["experiment", "method", "metric", "seeds", *INTERVAL, "mean", "by_seed"],
    "adaptation": ["experiment", "method", "episode", *INTERVAL],
    "probability_of_improvement": ["experiment", "better", "worse", *INTERVAL],
    "steps_to_reference": ["experiment", "method", "target_return", "environment_steps", "ratio", "low", "high"],
}
Row = dict[Any, Any]


@dataclass(frozen=True)
class Across:
    """What the rows about all experiments together are made of.

    Attributes:
        experiments: all that could be compared.
        on_scale: those whose returns could be normalized.
        left_out: methods that not all experiments have.
    """

    experiments: list[str]
    on_scale: list[str]
    left_out: list[str]


class Analysis:
    """The tables of a report.

    Args:
        methods: all methods of the report, in order.
        metrics: validation metrics to show curves of.
        reference: the method that others are measured against, if any.
        bootstrap: how resamples are drawn.
    """

    def __init__(
        self, methods: Sequence[str], metrics: Sequence[str], reference: str | None, bootstrap: Bootstrap
    ) -> None:
        self.methods, self.metrics, self.reference, self.bootstrap = methods, metrics, reference, bootstrap
        self._rows: dict[str, list[Row]] = {table: [] for table in COLUMNS}
        self._scores: dict[str, dict[str, FloatArray]] = {}
        """By experiment and method, the finite final returns of its seeds `[seeds]`."""
        self._untrained: dict[str, FloatArray] = {}
        """By experiment, the finite returns of its runs before training."""

    def table(self, name: str, experiment: str) -> pd.DataFrame:
        """The rows of a table (a key of `COLUMNS`) about one experiment, or about `ACROSS`; numbers as they are."""
        rows = [row for row in self._rows[name] if row["experiment"] == experiment]
        return pd.DataFrame(rows, columns=COLUMNS[name])

    def write(self, folder: Path) -> None:
        """Write all tables; a share or number of steps that is infinite is "never".

        Raises:
            ConfigurationError: if a file cannot be written.
        """
        for name, columns in COLUMNS.items():
            table = pd.DataFrame(self._rows[name], columns=columns)
            if name == "final":
                for column in ("seeds", "by_seed"):
                    table[column] = [" ".join(map(str, cell)) for cell in table[column]]
            if name == "steps_to_reference":
                table = table.astype(object).replace(np.inf, "never")
            if name != "steps_to_reference" or len(table):
                write_table(folder / f"{name}.csv", table)

    def add(self, experiment: Experiment) -> None:
        """Analyze one experiment."""
        returns = self._add_curves(experiment)
        self._add_averages(experiment)
        self._add_finals(experiment)
        self._add_adaptation(experiment)
        scores = self._scores[experiment.name]
        for better, worse in self._pairs(list(scores)):
            one = self._estimate(
                lambda strata: probability_of_improvement(strata[0], strata[1]),
                {
                    (experiment.name, better, FINAL_RETURN): scores[better],
                    (experiment.name, worse, FINAL_RETURN): scores[worse],
                },
            )
            self._add("probability_of_improvement", one, experiment=experiment.name, better=better, worse=worse)
        if self.reference in returns:
            goal = returns[self.reference]
            for method, curve in returns.items():
                steps, share = steps_to_reference(curve, goal)
                key = {"experiment": experiment.name, "method": method, "target_return": float(goal.value[-1])}
                ends = {"ratio": share.value, "low": share.low, "high": share.high}
                self._rows["steps_to_reference"].append({**key, "environment_steps": steps, **ends})

    def add_across(self) -> Across | None:
        """Put all experiments together, each a stratum.

        Returns:
            None with fewer than two experiments, or with fewer than two methods that all of them have.
        """
        scores = self._scores
        shared = [method for method in self.methods if all(method in by_method for by_method in scores.values())]
        if len(scores) < 2 or len(shared) < 2:
            return None
        scales = self._scales() if self.reference in shared else {}
        for method in shared if scales else []:
            strata = {
                (name, method, FINAL_RETURN): (scores[name][method] - zero) / (one - zero)
                for name, (zero, one) in scales.items()
            }
            normalized = self._estimate(pooled_interquartile_mean, strata)
            key: Row = {"experiment": ACROSS, "method": method, "metric": NORMALIZED, "seeds": [], "by_seed": []}
            self._add("final", normalized, **key)
        for pair in self._pairs(shared):
            strata = {(name, method, FINAL_RETURN): scores[name][method] for name in scores for method in pair}
            one = self._estimate(mean_improvement, strata)
            self._add("probability_of_improvement", one, experiment=ACROSS, better=pair[0], worse=pair[1])
        return Across(list(scores), list(scales), [method for method in self.methods if method not in shared])

    def _add(self, table: str, one: Estimate, **key: Any) -> None:
        self._rows[table].append({**key, **one._asdict()})

    def _estimate(self, statistic: Any, strata: Mapping[tuple[str, str, str], FloatArray]) -> Estimate:
        return estimate(statistic, list(strata.values()), self.bootstrap, list(strata))

    def _add_curves(self, experiment: Experiment) -> dict[str, Curve]:
        """Rows of all curves that are shown; the curves of the return, by method."""
        shown = self._shown(experiment)
        returns = {}
        for metric in dict.fromkeys((*shown, RETURN)):
            for method in self.methods if metric in experiment.metrics else []:
                rows = experiment.curves[experiment.curves["method"] == method]
                if rows[metric].isna().all():
                    continue
                curve = curve_of(rows, metric, self.bootstrap)
                if metric == RETURN:
                    returns[method] = curve
                if metric in shown:
                    key = {"experiment": experiment.name, "method": method, "metric": metric}
                    points = pd.DataFrame({"environment_steps": curve.steps, "value": curve.value})
                    points = points.assign(low=curve.low, high=curve.high, **key)
                    self._rows["curves"] += points.to_dict("records")
        return returns

    def _shown(self, experiment: Experiment) -> list[str]:
        """The validation metrics of an experiment whose curves are shown."""
        further = [name for name in experiment.metrics if name == SUCCESS or name.startswith(TASK_MEANS)]
        return list(dict.fromkeys((*self.metrics, *further)))

    def _add_averages(self, experiment: Experiment) -> None:
        """Rows of each method's mean over environment steps, and of what it is above the reference's, seed by seed."""
        for metric in self._shown(experiment):
            averages = (
                averages_over_steps(experiment.curves, metric) if metric in experiment.metrics else pd.DataFrame()
            )
            for method in [method for method in self.methods if method in averages]:
                key = (experiment.name, method, metric)
                own = averages[method].dropna().to_numpy()
                one = self._estimate(lambda strata: interquartile_mean(strata[0]), {key: own})
                row = dict(zip(COLUMNS["average_over_steps"], (*key, *one, math.nan, math.nan, math.nan)))
                if self.reference in averages and method != self.reference:
                    above = (averages[method] - averages[self.reference]).dropna().to_numpy()
                    if len(above):
                        paired = self._estimate(
                            lambda strata: strata[0].mean(axis=-1),
                            {(experiment.name, method, f"{metric} difference"): above},
                        )
                        row |= dict(zip(DIFFERENCE, paired))
                self._rows["average_over_steps"].append(row)

    def _add_finals(self, experiment: Experiment) -> None:
        """Rows of all test metrics after training, and the scores that other tables are made of."""
        finals = experiment.finals[np.isfinite(experiment.finals["value"])].sort_values(["method", "seed"])
        before = finals[(finals["training"] == "before") & (finals["metric"] == FINAL_RETURN)]
        self._untrained[experiment.name] = before["value"].to_numpy()
        self._scores[experiment.name] = {}
        after = finals[finals["training"] == "after"]
        for metric in sorted(after["metric"].unique()):
            for method in self.methods:
                own = after[(after["metric"] == metric) & (after["method"] == method)]
                if own.empty:
                    continue
                scores = own["value"].to_numpy()
                one = self._estimate(
                    lambda strata: interquartile_mean(strata[0]), {(experiment.name, method, metric): scores}
                )
                key = {"experiment": experiment.name, "method": method, "metric": metric}
                seeds = {"seeds": own["seed"].tolist(), "mean": float(scores.mean()), "by_seed": scores.tolist()}
                self._add("final", one, **key, **seeds)
                if metric == FINAL_RETURN:
                    self._scores[experiment.name][method] = scores

    def _add_adaptation(self, experiment: Experiment) -> None:
        """Rows of the return by episode, of methods that have all episodes of the experiment."""
        finals = self.table("final", experiment.name)
        after = experiment.finals[experiment.finals["training"] == "after"]
        named = [metric for metric in after["metric"].unique() if metric.startswith(EPISODE)]
        episodes = sorted(int(metric.removeprefix(EPISODE)) for metric in named)
        for method in self.methods:
            own = finals[finals["method"] == method].set_index("metric")[INTERVAL].T
            if named and set(named) <= set(own):
                for place, episode in enumerate(episodes, start=1):
                    one = Estimate(*own[f"{EPISODE}{episode}"])
                    self._add("adaptation", one, experiment=experiment.name, method=method, episode=place)

    def _pairs(self, methods: Sequence[str]) -> list[tuple[str, str]]:
        """All pairs; the reference comes second, so that its pairs read as "better than the reference"."""
        return list(combinations(sorted(methods, key=lambda method: method == self.reference), 2))

    def _scales(self) -> dict[str, tuple[float, float]]:
        """By experiment, the returns that count as 0 (untrained, mean over all runs) and 1 (the reference's final one).

        Experiments without the former, or whose reference did not end above it, are left out.
        """
        finals = pd.DataFrame(self._rows["final"], columns=COLUMNS["final"])
        ends = finals[(finals["metric"] == FINAL_RETURN) & (finals["method"] == self.reference)]
        ones = dict(zip(ends["experiment"], ends["value"]))
        zeros = {name: float(before.mean()) for name, before in self._untrained.items() if len(before)}
        return {name: (zero, ones[name]) for name, zero in zeros.items() if ones[name] > zero}
