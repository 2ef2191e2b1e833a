"""Which data were collected for which task and kept for which other one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

MOST_LABELS = 12


def plot_flow(flow: Tensor, tasks: Tensor, task_names: Sequence[str]) -> Figure:
    """The heat map "collected for → kept for", and above it the share of each task's data that came from others.

    Args:
        flow: transitions collected for the task of a row and kept for that of a column, `[tasks, tasks]`.
        tasks: `[tasks, task_dim]`; they are sorted by their first coordinate.
        task_names: names of the coordinates.
    """
    order = tasks[:, 0].argsort(stable=True)
    counts = flow[order][:, order].double().numpy()
    collected, kept = counts.sum(1, keepdims=True), counts.sum(0)
    shares = np.divide(counts, collected, out=np.zeros_like(counts), where=collected > 0)
    from_others = np.divide(kept - counts.diagonal(), kept, out=np.zeros_like(kept), where=kept > 0)

    figure = Figure(figsize=(6.4, 6.8), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(1, 5), sharex=True)
    above.bar(np.arange(len(kept)), from_others, width=1.0, color="tab:orange")
    above.set(ylim=(0, 1), ylabel="share from\nother tasks")
    image = below.imshow(shares, aspect="auto", cmap="magma", vmin=0.0, interpolation="nearest")
    figure.colorbar(image, ax=below, label="share of what was collected")
    marks = np.unique(np.linspace(0, len(kept) - 1, min(len(kept), MOST_LABELS)).round().astype(int))
    labels = [f"{float(tasks[order[mark], 0]):.2f}" for mark in marks]
    below.set_xticks(marks, labels, rotation=90)
    below.set_yticks(marks, labels)
    below.set(xlabel=f"kept for the task with {task_names[0]}", ylabel=f"collected for the task with {task_names[0]}")
    return figure
