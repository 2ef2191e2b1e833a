"""The figures, each from the tables of an analysis."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from lit_metarl.evaluation import COORDINATE
from lit_metarl.report.analysis import ACROSS, FINAL_RETURN, Analysis
from lit_metarl.report.figure_style import REFERENCE_COLOR, Style, legend_above, new_figure
from lit_metarl.report.notes import NO_BREAK, tested, worst_tasks
from lit_metarl.report.rows import SUCCESS, TASK_MEANS, Experiment
from lit_metarl.report.statistics import interquartile_mean

RETURN_LABEL = "Return of the adapted episode\n(sum of rewards)"
ROW_HEIGHT, NAME_WIDTH, NAME_LINE = 0.42, 28, 0.2
"""Of figures with one row a method: a row's height in inches, the characters after which its name is broken, and the
height of each further line of it."""
MAPS, MAP_HEIGHT = 2, 2.4
"""Maps of tasks side by side, and the height of one in inches."""
BINS = 10
"""Of the line through the returns of test tasks."""

Styles = Mapping[str, Style]
Plotted = tuple[str, Figure, str]
"""A figure's name, itself, and its caption."""


def figures_of(experiment: Experiment, analysis: Analysis, styles: Styles) -> Iterator[Plotted]:
    """The figures of one experiment."""
    reference, name = analysis.reference, experiment.name
    for metric, curves in analysis.table("curves", name).groupby("metric", sort=False):
        if metric in experiment.constants:
            continue
        caption = f"{metric} against environment steps. IQM over seeds; shaded: 95 % interval."
        if curves["low"].isna().any():
            caption += " Not shaded: too few seeds for an interval."
        if reference in set(curves["method"]):
            caption += f" Dotted: where {reference} ends."
        label = _label(str(metric), experiment)
        untrained: Any = experiment.untrained.get(str(metric).replace("val/", "test/"), {})
        if len(untrained):
            caption += (
                " Circles: the untrained agent, on the test tasks and not on those of the curve. Nothing is measured "
                "between them and the first validation, where initial data may be collected."
            )
        yield f"curve_{_file_name(metric)}", _learning_curves(curves, label, styles, reference, untrained), caption
    finals = analysis.table("final", name)
    for metric in (FINAL_RETURN, "test/cvar"):
        own = finals[finals["metric"] == metric]
        if len({value for seeds in own["by_seed"] for value in seeds}) > 1:  # one dot says no more than the table
            caption = f"{metric} after training. Dots: seeds; mark: IQM; bar: 95 % interval.{_hollow(own)}"
            figure = _bars(own, own["method"], _label(metric, experiment), styles)
            yield f"final_{metric.removeprefix('test/')}", figure, " ".join([caption, *tested(experiment)])
    adaptation = analysis.table("adaptation", name)
    if (adaptation["episode"] > 1).any():
        caption = "Adaptation on test tasks after training. IQM over seeds; bars: 95 % interval."
        names = [f"test/return_episode_{episode}" for episode in sorted(adaptation["episode"].unique())]
        means: Any = experiment.untrained
        before = [float(means[name].mean()) for name in names if name in means]
        if before:
            caption += " Dashed: the untrained agents, mean of all methods."
        yield "adaptation", _adaptation(adaptation, styles, before), caption + _hollow(adaptation)
    caption = "Probability that a run of the first method ends with more return than one of the second."
    yield from _improvements(analysis, name, styles, caption)
    for coordinate in experiment.coordinates:
        caption = f"Return against the task's {coordinate}. Dots: test tasks, IQM over seeds; line: mean of neighbors."
        yield f"task_{_file_name(coordinate)}", _returns_by_task(experiment.tasks, coordinate, styles), caption
    if len(experiment.coordinates) == 2:
        caption = "Return on every test task, IQM over seeds. Dots: tasks, at their two coordinates."
        yield "task_map", _map_of_tasks(experiment.tasks, experiment.coordinates), caption


def figures_across(analysis: Analysis, styles: Styles) -> Iterator[Plotted]:
    """The figures of all experiments together."""
    normalized = analysis.table("final", ACROSS)
    if len(normalized):
        caption = "Normalized final return over all experiments. Mark: IQM; bar: 95 % stratified bootstrap interval."
        label = "Normalized final return\n(0: untrained, 1: the reference)"
        figure = _bars(normalized, normalized["method"], label, styles, dashed=1.0)
        yield "normalized_return", figure, caption + _hollow(normalized)
    caption = "Probability of improvement, mean over experiments. Bar: 95 % stratified bootstrap interval."
    yield from _improvements(analysis, ACROSS, styles, caption)


def _label(metric: str, experiment: Experiment) -> str:
    """What the axis of a metric says."""
    shares = experiment.runs["cvar_alpha"].unique()
    worst = worst_tasks(shares[0] if len(shares) == 1 else "")
    if metric.startswith(TASK_MEANS):
        return f"Mean of sampled tasks:\n{metric.partition('mean_')[2].replace('_', ' ')}"
    return {
        "val/return": RETURN_LABEL,
        "val/cvar": f"CVaR: mean return\nof the {worst}",
        FINAL_RETURN: "Return of the adapted episode\non test tasks (sum of rewards)",
        "test/cvar": f"CVaR on test tasks: mean\nreturn of the {worst}",
        SUCCESS: "Share of tasks accomplished",
        "val/return_exploration": "Return of exploration episodes\n(sum of rewards)",
    }.get(metric, metric)


def _learning_curves(
    curves: pd.DataFrame, label: str, styles: Styles, reference: str | None, untrained: Mapping[str, float]
) -> Figure:
    """Interquartile means over seeds against environment steps, with intervals and the reference's last value."""
    figure, axes = new_figure()
    for method, curve in curves.groupby("method", sort=False):
        steps, (color, line) = curve["environment_steps"], styles[str(method)]
        marker = "o" if len(curve) == 1 else ""  # one point makes no line
        axes.plot(steps, curve["value"], line, color=color, label=method, marker=marker)
        if method in untrained:
            axes.plot([0], [untrained[str(method)]], "o", color=color, markerfacecolor="white")
        if curve["low"].notna().any():
            axes.fill_between(steps, curve["low"], curve["high"], color=color, alpha=0.18, linewidth=0)
    for goal in curves.loc[curves["method"] == reference, "value"].tail(1):
        axes.axhline(goal, color=REFERENCE_COLOR, linewidth=0.9, dashes=(2, 3), zorder=1)
    axes.set_xlabel("Environment steps")
    axes.xaxis.set_major_formatter(EngFormatter(sep=NO_BREAK))  # 100 k
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.margins(x=0.02)
    axes.set_ylabel(label)
    legend_above(figure, axes)
    return figure


def _adaptation(curves: pd.DataFrame, styles: Styles, untrained: Sequence[float]) -> Figure:
    """Return of every episode of a trial, after training, on test tasks; and of the first ones before training."""
    figure, axes = new_figure()
    axes.plot(range(1, len(untrained) + 1), untrained, "--", color=REFERENCE_COLOR, linewidth=0.9, zorder=1)
    methods = curves["method"].nunique()
    for place, (method, curve) in enumerate(curves.groupby("method", sort=False)):
        episodes = curve["episode"] + 0.06 * (place - (methods - 1) / 2)  # bars side by side
        color, line = styles[str(method)]
        face = "white" if curve["low"].isna().any() else color
        axes.plot(episodes, curve["value"], line, color=color, marker="o", markersize=5, mfc=face, label=method)
        axes.vlines(episodes, curve["low"], curve["high"], color=color, alpha=0.45, linewidth=2.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("Episode of the trial")
    axes.set_ylabel("Return of the episode\n(sum of rewards)")
    axes.margins(x=0.1)
    legend_above(figure, axes)
    return figure


def _improvements(analysis: Analysis, name: str, styles: Styles, caption: str) -> Iterator[Plotted]:
    """One row a pair, if there is any."""
    pairs = analysis.table("probability_of_improvement", name)
    if len(pairs):
        names = pairs["better"] + " > " + pairs["worse"]
        figure = _bars(pairs.assign(method=pairs["better"]), names, "Probability of improvement", styles, dashed=0.5)
        figure.axes[0].set_xlim(-0.03, 1.03)
        yield "probability_of_improvement", figure, caption + _hollow(pairs)


def _returns_by_task(tasks: pd.DataFrame, coordinate: str, styles: Styles) -> Figure:
    """Every test task a light dot (interquartile mean over seeds), with the mean in bins of equally many tasks."""
    figure, axes = new_figure()
    for method, (color, line) in styles.items():
        own = tasks[tasks["method"] == method].groupby([COORDINATE + coordinate, "task"])["return"]
        points = own.agg(lambda seeds: float(interquartile_mean(seeds.to_numpy()))).reset_index()
        dots = points[[COORDINATE + coordinate, "return"]].to_numpy()
        if len(dots):
            axes.scatter(dots[:, 0], dots[:, 1], s=12, color=color, alpha=0.3, linewidth=0)
            means = [bin_.mean(axis=0) for bin_ in np.array_split(dots, min(BINS, len(dots)))]
            axes.plot(*np.transpose(means), line, color=color, label=method)
    axes.set_xlabel(f"Task: {coordinate.replace('_', ' ')}")
    axes.set_ylabel(RETURN_LABEL)
    legend_above(figure, axes)
    return figure


def _map_of_tasks(tasks: pd.DataFrame, coordinates: Sequence[str]) -> Figure:
    """A panel a method: the two coordinates of every test task, its return (interquartile mean over seeds) a color."""
    places = [COORDINATE + name for name in coordinates]
    returns = tasks.groupby(["method", "task", *places])["return"]
    points = returns.agg(lambda seeds: float(interquartile_mean(seeds.to_numpy()))).reset_index()
    methods = sorted(points["method"].unique())
    columns = min(MAPS, len(methods))
    rows = -(-len(methods) // columns)
    figure, _ = new_figure(height=0.4 + MAP_HEIGHT * rows)
    figure.clear()
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    limits = {"vmin": points["return"].min(), "vmax": points["return"].max()}
    for panel, method in zip_longest(panels.flat, methods):
        own = points[points["method"] == method]
        dots = panel.scatter(own[places[0]], own[places[1]], c=own["return"], s=16, **limits)
        panel.set_visible(method is not None)
        panel.set_title(_broken(str(method or "")), fontsize="small")
        panel.set_box_aspect(1)
    figure.colorbar(dots, ax=panels, label="Return of the adapted episode")
    figure.supxlabel(f"Task: {coordinates[0].replace('_', ' ')}", fontsize="medium")
    figure.supylabel(f"Task: {coordinates[1].replace('_', ' ')}", fontsize="medium")
    return figure


def _bars(
    estimates: pd.DataFrame, names: pd.Series[str], label: str, styles: Styles, dashed: float | None = None
) -> Figure:
    """One row an estimate: a mark, its interval as a bar, and every seed a light dot where there are seeds."""
    broken = [_broken(name) for name in names]
    further_lines = max(name.count("\n") for name in broken)
    figure, axes = new_figure(height=1.1 + (ROW_HEIGHT + NAME_LINE * further_lines) * len(estimates))
    if dashed is not None:
        axes.axvline(dashed, color="#999999", linewidth=0.9, dashes=(2, 3), zorder=1)
    for place, row in enumerate(estimates.to_dict("records")):
        color = styles[row["method"]].color
        if seeds := row.get("by_seed"):
            axes.scatter(seeds, [place] * len(seeds), s=26, color=color, alpha=0.35, linewidth=0)
        axes.hlines(place, row["low"], row["high"], color=color, alpha=0.45, linewidth=6)
        marker, size = ("D", 8) if np.isnan(row["low"]) else ("|", 15)
        axes.plot(row["value"], place, marker=marker, markersize=size, mew=2.4, color=color, mfc="none")
    axes.set_yticks(range(len(names)), broken)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(label)
    return figure


def _broken(name: str) -> str:
    """A name in lines of at most `NAME_WIDTH` characters, broken at spaces and after slashes where that is enough."""
    return textwrap.fill(name.replace("/", "/ "), NAME_WIDTH).replace("/ ", "/")


def _hollow(estimates: pd.DataFrame) -> str:
    """What a caption says of hollow marks, if there are any."""
    return " Hollow: too few seeds for an interval." if estimates["low"].isna().any() else ""


def _file_name(metric: object) -> str:
    return re.sub(r"\W+", "_", str(metric).removeprefix("val/"))
