"""The figures, each from the tables of an analysis."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from lit_metarl.evaluation import COORDINATE
from lit_metarl.report.analysis import ACROSS, FINAL_RETURN, INTERVAL, Analysis
from lit_metarl.report.figure_style import (
    INTERVAL_OPACITY,
    NO_BREAK,
    REFERENCE_COLOR,
    Style,
    legend_above,
    new_figure,
)
from lit_metarl.report.rows import SUCCESS, TASK_MEANS, Experiment
from lit_metarl.report.statistics import interquartile_mean

RETURN_LABEL = "Return of the adapted episode\n(sum of rewards)"
ROW_HEIGHT = 0.42  # inches a method takes in figures with one row a method
BINS = 10
"""Of the line through the returns of test tasks."""

Styles = Mapping[str, Style]
Plotted = tuple[str, Figure, str]
"""A figure's name, itself, and its caption."""


def figures_of(experiment: Experiment, analysis: Analysis, styles: Styles) -> Iterator[Plotted]:
    """The figures of one experiment."""
    reference, name = analysis.reference, experiment.name
    for metric, curves in analysis.table("curves", name).groupby("metric", sort=False):
        caption = f"{metric} against environment steps. IQM over seeds; shaded: 95 % interval."
        if reference in set(curves["method"]):
            caption += f" Dotted: where {reference} ends."
        label, untrained = _curve_label(str(metric), experiment), _untrained(str(metric), experiment)
        if len(untrained):
            caption += " Circles: the untrained agent, on the test tasks and not on those of the curve."
        yield f"curve_{_file_name(metric)}", _learning_curves(curves, label, styles, reference, untrained), caption
    finals = analysis.table("final", name)
    returns = finals[finals["metric"] == FINAL_RETURN]
    if returns["seeds"].map(len).sum() > 1:  # one dot says no more than the table
        caption = f"{FINAL_RETURN} after training. Dots: seeds; mark: IQM; bar: 95 % interval."
        yield "final_return", _final_returns(returns, styles), caption
    adaptation = analysis.table("adaptation", name)
    if (adaptation["episode"] > 1).any():
        caption = "Adaptation on test tasks after training. IQM over seeds; bars: 95 % interval."
        yield "adaptation", _adaptation(adaptation, styles), caption
    improvement = of_interest(analysis.table("probability_of_improvement", name), reference)
    if len(improvement):
        caption = "Probability that a run of the first method ends with more return than one of the second."
        yield "probability_of_improvement", _improvements(improvement, styles), caption
    for coordinate in experiment.coordinates:
        caption = f"Return against the task's {coordinate}. Dots: test tasks, IQM over seeds; line: mean of neighbors."
        yield f"task_{_file_name(coordinate)}", _returns_by_task(experiment.tasks, coordinate, styles), caption


def figures_across(analysis: Analysis, styles: Styles) -> Iterator[Plotted]:
    """The figures of all experiments together."""
    normalized = analysis.table("final", ACROSS)
    if len(normalized):
        caption = "Normalized final return over all experiments. Mark: IQM; bar: 95 % stratified bootstrap interval."
        label = f"Normalized final return (0 untrained, 1 as {analysis.reference})"
        colors = [styles[method].color for method in normalized["method"]]
        yield "normalized_return", _bars(normalized, list(normalized["method"]), colors, label, 1.0), caption
    improvement = of_interest(analysis.table("probability_of_improvement", ACROSS), analysis.reference)
    if len(improvement):
        caption = "Probability of improvement, mean over experiments. Bar: 95 % stratified bootstrap interval."
        yield "probability_of_improvement", _improvements(improvement, styles), caption


def of_interest(pairs: pd.DataFrame, reference: str | None) -> pd.DataFrame:
    """The pairs with the reference where there is one: the number of all grows with the square of the methods."""
    return pairs if reference is None else pairs[(pairs["better"] == reference) | (pairs["worse"] == reference)]


def by_task(tasks: pd.DataFrame, coordinate: str) -> pd.DataFrame:
    """Return of every test task, the interquartile mean over the seeds that met it.

    Args:
        tasks: of one method, one row a run and task.
        coordinate: the column of one of the task's coordinates.

    Returns:
        Columns `coordinate`, `task` and `return`, in the order of the coordinate.
    """
    returns = tasks.dropna(subset=[coordinate]).groupby([coordinate, "task"])["return"]
    return returns.agg(lambda seeds: float(interquartile_mean(seeds.to_numpy()))).reset_index()


def _curve_label(metric: str, experiment: Experiment) -> str:
    """What the y-axis of a curve says."""
    shares = experiment.runs["cvar_alpha"].unique()  # "" where unknown
    share = f"worst {100 * float(shares[0]):g}{NO_BREAK}%" if len(shares) == 1 and shares[0] else "worst"
    if metric.startswith(TASK_MEANS):
        return f"Mean of sampled tasks:\n{metric.partition('mean_')[2].replace('_', ' ')}"
    return {
        "val/return": RETURN_LABEL,
        "val/cvar": f"CVaR: mean return\nof the {share} of tasks",
        SUCCESS: "Share of tasks accomplished",
        "val/return_exploration": "Return of exploration episodes\n(sum of rewards)",
    }.get(metric, metric)


def _untrained(metric: str, experiment: Experiment) -> pd.Series[float]:
    """By method, the mean of a validation metric's test before training; empty if there was none."""
    finals = experiment.finals[np.isfinite(experiment.finals["value"]) & (experiment.finals["training"] == "before")]
    own = finals[finals["metric"] == metric.replace("val/", "test/")]
    means: pd.Series[float] = own.groupby("method")["value"].mean()
    return means


def _learning_curves(
    curves: pd.DataFrame, label: str, styles: Styles, reference: str | None, untrained: pd.Series[float]
) -> Figure:
    """Interquartile means over seeds against environment steps, with intervals and the reference's last value."""
    figure, axes = new_figure()
    for method, curve in curves.groupby("method", sort=False):
        steps, (color, line) = curve["environment_steps"], styles[str(method)]
        marker = "o" if len(curve) == 1 else ""  # one point makes no line
        axes.plot(steps, curve["value"], line, color=color, label=method, marker=marker)
        if method in untrained:
            axes.plot([0], [untrained[method]], "o", color=color, markerfacecolor="white")
        if curve["low"].notna().any():
            axes.fill_between(steps, curve["low"], curve["high"], color=color, alpha=INTERVAL_OPACITY, linewidth=0)
    goal = curves.loc[curves["method"] == reference, "value"]
    if len(goal):
        axes.axhline(goal.iloc[-1], color=REFERENCE_COLOR, linewidth=0.9, dashes=(2, 3), zorder=1)
    axes.set_xlabel("Environment steps")
    axes.xaxis.set_major_formatter(EngFormatter(sep=NO_BREAK))  # 100 k
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.margins(x=0.02)
    axes.set_ylabel(label)
    legend_above(figure, axes)
    return figure


def _final_returns(finals: pd.DataFrame, styles: Styles) -> Figure:
    """One row a method: every seed a light dot, the interquartile mean with its interval."""
    methods = list(finals["method"])
    colors = [styles[method].color for method in methods]

    def dots(axes: Axes, place: int) -> None:
        values = finals["by_seed"].iloc[place]
        axes.scatter(values, [place] * len(values), s=26, color=colors[place], alpha=0.35, lw=0)

    label = "Return of the adapted episode on test tasks (sum of rewards)"
    return _bars(finals, methods, colors, label, before=dots)


def _improvements(pairs: pd.DataFrame, styles: Styles) -> Figure:
    """One row a pair: the probability that a run of the first method ends above one of the second."""
    names = list(pairs["better"] + " > " + pairs["worse"])
    colors = [styles[method].color for method in pairs["better"]]
    figure = _bars(pairs, names, colors, "Probability of improvement", 0.5)
    figure.axes[0].set_xlim(-0.03, 1.03)
    return figure


def _adaptation(curves: pd.DataFrame, styles: Styles) -> Figure:
    """Return of every episode of a trial, after training, on test tasks."""
    figure, axes = new_figure()
    methods = curves["method"].nunique()
    for place, (method, curve) in enumerate(curves.groupby("method", sort=False)):
        episodes = curve["episode"] + 0.06 * (place - (methods - 1) / 2)  # bars side by side
        color, line = styles[str(method)]
        axes.plot(episodes, curve["value"], line, color=color, marker="o", markersize=4, label=method)
        if curve["low"].notna().all():
            for episode, low, high in zip(episodes, curve["low"], curve["high"]):
                axes.vlines(episode, low, high, color=color, alpha=0.45, linewidth=2.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("Episode of the trial")
    axes.set_ylabel("Return of the episode\n(sum of rewards)")
    axes.margins(x=0.1)
    legend_above(figure, axes)
    return figure


def _returns_by_task(tasks: pd.DataFrame, coordinate: str, styles: Styles) -> Figure:
    """Every test task a light dot (interquartile mean over seeds), with the mean in bins of equally many tasks."""
    figure, axes = new_figure()
    for method, (color, line) in styles.items():
        own = by_task(tasks[tasks["method"] == method], COORDINATE + coordinate)
        if len(own):
            place, value = own[COORDINATE + coordinate].to_numpy(), own["return"].to_numpy()
            axes.scatter(place, value, s=12, color=color, alpha=0.3, linewidth=0)
            bins = [chunk for chunk in np.array_split(np.arange(len(own)), BINS) if len(chunk)]
            middle, mean = [place[chunk].mean() for chunk in bins], [value[chunk].mean() for chunk in bins]
            axes.plot(middle, mean, line, color=color, label=method)
    axes.set_xlabel(f"Task: {coordinate.replace('_', ' ')}")
    axes.set_ylabel(RETURN_LABEL)
    legend_above(figure, axes)
    return figure


def _bars(
    estimates: pd.DataFrame,
    names: list[str],
    colors: list[str],
    label: str,
    dashed: float | None = None,
    before: Callable[[Axes, int], None] = lambda axes, place: None,
) -> Figure:
    """One row an estimate: a mark, its interval as a bar, and what `before` draws below them."""
    figure, axes = new_figure(height=1.1 + ROW_HEIGHT * len(estimates))
    if dashed is not None:
        axes.axvline(dashed, color="#999999", linewidth=0.9, dashes=(2, 3), zorder=1)
    ends: Any = estimates[INTERVAL].to_numpy(dtype=float)
    for place, ((value, low, high), color) in enumerate(zip(ends, colors)):
        before(axes, place)
        if not np.isnan(low):
            axes.hlines(place, low, high, color=color, alpha=0.45, linewidth=6)
        axes.plot([value], [place], marker="|", markersize=15, markeredgewidth=2.4, color=color)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(label)
    return figure


def _file_name(metric: object) -> str:
    return re.sub(r"\W+", "_", str(metric).removeprefix("val/"))
