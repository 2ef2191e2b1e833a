"""What is said about the experiments, as tables: every number that a figure or the page shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from lit_metarl.report.curves import Curve, averages_over_steps, curve_of, steps_to_reference
from lit_metarl.report.rows import SUCCESS, TASK_MEANS, Experiment, write_table
from lit_metarl.report.statistics import FloatArray, estimate, interquartile_mean, probability_of_improvement

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
    "final": ["experiment", "method", "metric", "seeds", *INTERVAL, "mean", "by_seed", "untrained"],
    "adaptation": ["experiment", "method", "episode", *INTERVAL],
    "probability_of_improvement": ["experiment", "better", "worse", "wins", "pairs", *INTERVAL],
    "steps_to_reference": ["experiment", "method", "target_return", "environment_steps", "ratio", "low", "high"],
}


Row = dict[str, Any]


class Across(NamedTuple):
    """What the rows about all experiments together are made of.

    Attributes:
        experiments: all that could be compared.
        off_scale: those whose returns could not be normalized.
        left_out: methods that not all experiments have.
    """

    experiments: list[str]
    off_scale: list[str]
    left_out: list[str]


class Analysis:
    """The tables of a report.

    Args:
        methods: all methods of the report, in order.
        metrics: validation metrics to show curves of.
        reference: the method that others are measured against, if any.
        resamples: behind every interval.
    """

    def __init__(self, methods: Sequence[str], metrics: Sequence[str], reference: str | None, resamples: int) -> None:
        self.methods, self.metrics, self.reference, self.resamples = methods, metrics, reference, resamples
        self._rows: dict[str, list[Row]] = {table: [] for table in COLUMNS}
        self._scores: dict[str, dict[str, FloatArray]] = {}
        """By experiment and method, the finite final returns of its seeds `[seeds]`."""
        self._scales: dict[str, tuple[float, float]] = {}
        """By experiment, the returns that count as 0 (untrained, mean over all runs) and 1 (the reference's final one);
        without those that lack the former, or whose reference did not end above it."""

    def table(self, name: str, experiment: str) -> pd.DataFrame:
        """The rows of a table (a key of `COLUMNS`) about one experiment, or about `ACROSS`; numbers as they are."""
        rows = [row for row in self._rows[name] if row["experiment"] == experiment]
        return pd.DataFrame(rows, columns=COLUMNS[name])

    def write(self, folder: Path) -> None:
        """Write all tables; a share or number of steps that is infinite is "never".

        Raises:
            ConfigurationError: if a file cannot be written.
        """
        tables = {name: pd.DataFrame(self._rows[name], columns=columns) for name, columns in COLUMNS.items()}
        for column in ("seeds", "by_seed"):
            tables["final"][column] = [" ".join(map(str, cell)) for cell in tables["final"][column]]
        to_reference = tables.pop("steps_to_reference")
        if len(to_reference):
            tables["steps_to_reference"] = to_reference.astype(object).replace(np.inf, "never")
        else:
            (folder / "steps_to_reference.csv").unlink(missing_ok=True)
        for name, table in tables.items():
            write_table(folder / f"{name}.csv", table)

    def add(self, experiment: Experiment) -> None:
        """Analyze one experiment."""
        further = [name for name in experiment.metrics if name == SUCCESS or name.startswith(TASK_MEANS)]
        shown = [metric for metric in dict.fromkeys((*self.metrics, *further)) if metric in experiment.metrics]
        curves = {metric: self._curves(experiment, metric) for metric in {*shown, RETURN} & set(experiment.metrics)}
        for metric in shown:
            for method, curve in curves[metric].items():
                key = {"experiment": experiment.name, "method": method, "metric": metric}
                self._rows["curves"] += _records(curve.points, key)
            self._add_averages(experiment, metric)
        self._add_finals(experiment)
        self._add_adaptation(experiment)
        self._add_improvements(experiment.name, self._scores[experiment.name], [experiment.name])
        self._add_steps_to_reference(experiment.name, curves.get(RETURN, {}))

    def add_across(self) -> Across | None:
        """Put all experiments together, each a stratum.

        Returns:
            None with fewer than two experiments, or with fewer than two methods that all of them have.
        """
        scores = {name: by_method for name, by_method in self._scores.items() if by_method}
        shared = [method for method in self.methods if all(method in by_method for by_method in scores.values())]
        if len(scores) < 2 or len(shared) < 2:
            return None
        scales = self._scales if self.reference in shared else {}
        for method in shared if scales else []:
            strata = {
                (name, method, FINAL_RETURN): (scores[name][method] - zero) / (one - zero)
                for name, (zero, one) in scales.items()
            }
            key = {"experiment": ACROSS, "method": method, "metric": NORMALIZED, "seeds": [], "by_seed": []}
            self._add("final", key, interquartile_mean, strata)
        self._add_improvements(ACROSS, shared, list(scores))
        off_scale, left_out = set(scores) - set(scales), [method for method in self.methods if method not in shared]
        return Across(list(scores), sorted(off_scale), left_out)

    def _add(
        self, table: str, key: Row, statistic: Callable[..., FloatArray], strata: Mapping[Any, FloatArray]
    ) -> None:
        self._rows[table].append({**key, **estimate(statistic, strata, self.resamples)._asdict()})

    def _by_method(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Rows of each method that has any, in the order of the methods."""
        own = dict(list(rows.groupby("method")))
        return {method: own[method] for method in self.methods if method in own}

    def _curves(self, experiment: Experiment, metric: str) -> dict[str, Curve]:
        logged = self._by_method(experiment.curves.dropna(subset=[metric]))
        return {method: curve_of(own, metric, self.resamples) for method, own in logged.items()}

    def _add_averages(self, experiment: Experiment, metric: str) -> None:
        """Rows of each method's mean over environment steps, and of what it is above the reference's, seed by seed."""
        averages = averages_over_steps(experiment.curves, metric)
        for method in [method for method in self.methods if method in averages]:
            key: Row = {"experiment": experiment.name, "method": method, "metric": metric}
            if self.reference in averages and method != self.reference:
                above = (averages[method] - averages[self.reference]).dropna().to_numpy()
                if len(above):
                    strata = {(experiment.name, method, f"{metric} difference"): above}
                    key |= dict(zip(DIFFERENCE, estimate(partial(np.mean, axis=-1), strata, self.resamples)))
            strata = {(experiment.name, method, metric): averages[method].dropna().to_numpy()}
            self._add("average_over_steps", key, interquartile_mean, strata)

    def _add_finals(self, experiment: Experiment) -> None:
        """Rows of all test metrics after training, and the scores that other tables are made of."""
        finals = experiment.finals[np.isfinite(experiment.finals["value"])].sort_values(["method", "seed"])
        for metric, after in finals[finals["training"] == "after"].groupby("metric"):
            for method, own in self._by_method(after).items():
                scores = own["value"].to_numpy()
                key = {"experiment": experiment.name, "method": method, "metric": metric}
                seeds = {"seeds": own["seed"].tolist(), "mean": float(scores.mean()), "by_seed": scores.tolist()}
                before = {"untrained": experiment.untrained.get((metric, method), np.nan)}
                strata = {(experiment.name, method, str(metric)): scores}
                self._add("final", key | seeds | before, interquartile_mean, strata)
        returns = finals[finals["metric"] == FINAL_RETURN]
        after, before = (returns[returns["training"] == training] for training in ("after", "before"))
        by_method = {method: own["value"].to_numpy() for method, own in self._by_method(after).items()}
        self._scores[experiment.name] = by_method
        if self.reference in by_method and len(before):
            zero, one = before["value"].to_numpy().mean(), interquartile_mean(by_method[self.reference])
            if one > zero:
                self._scales[experiment.name] = float(zero), float(one)

    def _add_adaptation(self, experiment: Experiment) -> None:
        """Rows of the return by episode, of methods that have all episodes of the experiment."""
        tested = experiment.finals.loc[experiment.finals["training"] == "after", "metric"].unique()
        episodes = sorted(
            (name for name in tested if name.startswith(EPISODE)), key=lambda name: int(name[len(EPISODE) :])
        )
        finals = self.table("final", experiment.name)
        for method, own in self._by_method(finals[finals["metric"].isin(episodes)]).items():
            if len(own) == len(episodes):
                points = own.set_index("metric").loc[episodes, INTERVAL]
                key = {"experiment": experiment.name, "method": method, "episode": range(1, len(episodes) + 1)}
                self._rows["adaptation"] += _records(points, key)

    def _add_improvements(self, name: str, methods: Iterable[str], experiments: Sequence[str]) -> None:
        """Rows of all pairs; the reference comes second, so that its pairs read as "better than the reference".

        Two single runs make no probability: their pairs are left out.
        """
        for better, worse in combinations(sorted(methods, key=lambda method: method == self.reference), 2):
            strata = {
                (experiment, method, FINAL_RETURN): self._scores[experiment][method]
                for experiment in experiments
                for method in (better, worse)
            }
            scores = list(strata.values())
            pairs = [len(x) * len(y) for x, y in zip(scores[::2], scores[1::2])]
            shares = [probability_of_improvement(x, y) for x, y in zip(scores[::2], scores[1::2])]
            wins = {"wins": float(np.dot(shares, pairs)), "pairs": sum(pairs)}
            key: Row = {"experiment": name, "better": better, "worse": worse, **wins}
            if max(map(len, scores)) > 1:
                self._add("probability_of_improvement", key, probability_of_improvement, strata)

    def _add_steps_to_reference(self, name: str, returns: Mapping[str, Curve]) -> None:
        certain = {method: curve for method, curve in returns.items() if curve.resampled is not None}
        for method in certain if self.reference in certain else []:
            reference = certain[str(self.reference)]
            steps, (ratio, low, high) = steps_to_reference(certain[method], reference)
            target = reference.points["value"].iloc[-1]
            row = (name, method, target, steps, ratio, low, high)
            self._rows["steps_to_reference"].append(dict(zip(COLUMNS["steps_to_reference"], row)))


def _records(points: pd.DataFrame, key: Row) -> list[Row]:
    """A row for every point, which begins with the point's numbers and ends with `key`."""
    records: list[Any] = points.assign(**cast(Any, key)).to_dict("records")
    return records
