"""The figures, each from analyzed numbers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lit_metarl.report.bootstrap import Estimate
from lit_metarl.report.comparison import Final
from lit_metarl.report.curves import Curve
from lit_metarl.report.estimators import FloatArray, interquartile_mean
from lit_metarl.report.figure_style import (
    INTERVAL_OPACITY,
    NO_BREAK,
    REFERENCE_COLOUR,
    Look,
    legend_above,
    new_figure,
    step_axis,
)
from lit_metarl.report.make_rows import SUCCESS, TASK_MEAN
from lit_metarl.report.results import Run

RETURN_LABEL = "Return of the adapted episode\n(sum of rewards)"
ROW_HEIGHT = 0.42  # inches a method takes in figures with one row a method
BINS = 10
"""Of the line through the returns of test tasks."""


def curve_label(metric: str, cvar_alpha: float | None) -> str:
    """What the y-axis of a curve says."""
    share = "worst" if cvar_alpha is None else f"worst {100 * cvar_alpha:g}{NO_BREAK}%"
    known = {
        "val/return": RETURN_LABEL,
        "val/cvar": f"CVaR: mean return\nof the {share} of tasks",
        SUCCESS: "Share of tasks accomplished",
        "val/return_exploration": "Return of exploration episodes\n(sum of rewards)",
    }
    if metric.startswith(TASK_MEAN):
        return f"Mean of the tasks drawn:\n{metric.removeprefix(TASK_MEAN).replace('_', ' ')}"
    return known.get(metric, metric)


def learning_curves(curves: Mapping[str, Curve], label: str, look: Look, reference: str | None) -> Figure:
    """Interquartile means over seeds against environment steps, with intervals and the reference's last value."""
    figure, axes = new_figure()
    for method, curve in curves.items():
        color = look.color(method)
        marker = "o" if len(curve.steps) == 1 else ""  # one point makes no line
        axes.plot(curve.steps, curve.value, look.line(method), color=color, label=method, marker=marker)
        if curve.low is not None and curve.high is not None:
            axes.fill_between(curve.steps, curve.low, curve.high, color=color, alpha=INTERVAL_OPACITY, linewidth=0)
    if reference is not None and reference in curves:
        axes.axhline(curves[reference].value[-1], color=REFERENCE_COLOUR, linewidth=0.9, dashes=(2, 3), zorder=1)
    step_axis(axes)
    axes.set_ylabel(label)
    legend_above(figure, axes)
    return figure


def final_returns(finals: Mapping[str, Final], look: Look) -> Figure:
    """One row a method: every seed a light dot, the interquartile mean with its interval."""
    figure, axes = new_figure(height=1.1 + ROW_HEIGHT * len(finals))
    for place, (method, final) in enumerate(finals.items()):
        axes.scatter(final.values, [place] * len(final.values), s=26, color=look.color(method), alpha=0.35, lw=0)
        _bar(axes, place, final.iqm, look.color(method))
    _method_rows(axes, list(finals))
    axes.set_xlabel("Return of the adapted episode on test tasks (sum of rewards)")
    return figure


def improvements(pairs: Mapping[tuple[str, str], Estimate], look: Look) -> Figure:
    """One row a pair: the probability that a run of the first method ends above one of the second."""
    figure, axes = new_figure(height=1.1 + ROW_HEIGHT * len(pairs))
    axes.axvline(0.5, color="#999999", linewidth=0.9, dashes=(2, 3), zorder=1)
    for place, ((better, _), probability) in enumerate(pairs.items()):
        _bar(axes, place, probability, look.color(better))
    _method_rows(axes, [f"{x} > {y}" for x, y in pairs])
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("Probability of improvement")
    return figure


def adaptation(curves: Mapping[str, Sequence[Estimate]], look: Look) -> Figure:
    """Return of every episode of a trial, after training, on test tasks."""
    figure, axes = new_figure()
    for place, (method, estimates) in enumerate(curves.items()):
        episodes = np.arange(1, len(estimates) + 1) + 0.06 * (place - (len(curves) - 1) / 2)  # bars side by side
        color, values = look.color(method), [estimate.value for estimate in estimates]
        axes.plot(episodes, values, look.line(method), color=color, marker="o", markersize=4, label=method)
        for episode, estimate in zip(episodes, estimates):
            if estimate.low is not None and estimate.high is not None:
                axes.vlines(episode, estimate.low, estimate.high, color=color, alpha=0.45, linewidth=2.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("Episode of the trial")
    axes.set_ylabel("Return of the episode\n(sum of rewards)")
    axes.margins(x=0.1)
    legend_above(figure, axes)
    return figure


def returns_by_task(methods: Mapping[str, list[Run]], coordinate: str, look: Look) -> Figure:
    """Every test task a light dot (interquartile mean over seeds), with the mean in bins of equally many tasks."""
    figure, axes = new_figure()
    for method, runs in methods.items():
        place, value = by_task(runs, coordinate)
        color = look.color(method)
        axes.scatter(place, value, s=12, color=color, alpha=0.3, linewidth=0)
        bins = [chunk for chunk in np.array_split(np.argsort(place, kind="stable"), BINS) if len(chunk)]
        middle, mean = [place[chunk].mean() for chunk in bins], [value[chunk].mean() for chunk in bins]
        axes.plot(middle, mean, look.line(method), color=color, label=method)
    axes.set_xlabel(f"Task: {coordinate.replace('_', ' ')}")
    axes.set_ylabel(RETURN_LABEL)
    legend_above(figure, axes)
    return figure


def by_task(runs: Sequence[Run], coordinate: str) -> tuple[FloatArray, FloatArray]:
    """Coordinate and return of every test task, the return as interquartile mean over the seeds that met it.

    Args:
        runs: of one method.
        coordinate: name of one of the task's coordinates.

    Returns:
        Two arrays `[tasks]`, in the order of the tasks' coordinates.
    """
    met: dict[tuple[float, float], list[float]] = {}
    for run in runs:
        if run.tasks is not None and coordinate in run.tasks.coordinates:
            for task, place, value in zip(run.tasks.tasks, run.tasks.coordinates[coordinate], run.tasks.returns):
                met.setdefault((float(place), float(task)), []).append(float(value))
    ordered = sorted(met)
    values = [float(interquartile_mean(np.array(met[key]))) for key in ordered]
    return np.array([place for place, _ in ordered]), np.array(values)


def normalized_returns(estimates: Mapping[str, Estimate], reference: str, look: Look) -> Figure:
    """One row a method: the normalized final return over all experiments."""
    figure, axes = new_figure(height=1.1 + ROW_HEIGHT * len(estimates))
    axes.axvline(1.0, color="#999999", linewidth=0.9, dashes=(2, 3), zorder=1)
    for place, (method, value) in enumerate(estimates.items()):
        _bar(axes, place, value, look.color(method))
    _method_rows(axes, list(estimates))
    axes.set_xlabel(f"Normalized final return (0 untrained, 1 as {reference})")
    return figure


def _bar(axes: Axes, place: int, value: Estimate, color: str) -> None:
    if value.low is not None and value.high is not None:
        axes.hlines(place, value.low, value.high, color=color, alpha=0.45, linewidth=6)
    axes.plot([value.value], [place], marker="|", markersize=15, markeredgewidth=2.4, color=color)


def _method_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
