"""The risks that the predictor of a task sampler expected, against those that were measured."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

MOST_COORDINATES = 4
PANEL_WIDTH, PANEL_HEIGHT = 3.6, 2.4  # inches


def plot_risks(tasks: Tensor, predicted: Tensor, risks: Tensor, task_names: Sequence[str]) -> Figure:
    """Predicted and measured risk of the latest trials, by task coordinate (the first four).

    Args:
        tasks: of the trials, `[n, task_dim]`.
        predicted: the risks that the predictor expected, normalized, `[n]`.
        risks: the measured risks, normalized, `[n]`.
        task_names: names of the coordinates.
    """
    names = task_names[:MOST_COORDINATES]
    figure = Figure(figsize=(PANEL_WIDTH * len(names), PANEL_HEIGHT), dpi=80, layout="constrained")
    for panel, name, coordinate in zip(figure.subplots(1, len(names), squeeze=False)[0], names, tasks.T):
        panel.scatter(coordinate.numpy(), risks.numpy(), s=12, color="tab:gray", label="measured")
        panel.scatter(coordinate.numpy(), predicted.numpy(), s=12, color="tab:red", marker="x", label="predicted")
        panel.set(xlabel=name)
    figure.axes[0].set(ylabel="risk (normalized)")
    figure.axes[0].legend(frameon=False, fontsize="small")
    return figure
