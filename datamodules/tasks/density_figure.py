"""Which tasks the cross-entropy method samples, against the reference distribution and over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

MOST_COORDINATES = 4
BINS = 30
PANEL_WIDTH, PANEL_HEIGHT = 3.6, 2.4  # inches
LOW, MIDDLE, HIGH = "quantile_0.05", "quantile_0.50", "quantile_0.95"


def plot_density(
    sampled: Tensor, reference: Tensor, table: Sequence[Mapping[str, float]], task_names: Sequence[str]
) -> Figure:
    """For every task coordinate (the first four): its density now, and its quantiles round by round.

    Args:
        sampled: tasks as they are sampled now, `[n, task_dim]`.
        reference: tasks of the reference distribution, `[n, task_dim]`.
        table: one row a round (`CEMTaskSampler.table`).
        task_names: names of the coordinates.
    """
    names = task_names[:MOST_COORDINATES]
    size = (2 * PANEL_WIDTH, PANEL_HEIGHT * len(names))
    figure = Figure(figsize=size, dpi=80, layout="constrained")
    rounds = [row["round"] for row in table]
    for panels, name, now, before in zip(figure.subplots(len(names), 2, squeeze=False), names, sampled.T, reference.T):
        density, history = panels
        edges = np.histogram_bin_edges(torch.cat((now, before)).numpy(), BINS)
        density.hist(before.numpy(), edges, density=True, color="tab:gray", alpha=0.5, label="reference")
        density.hist(now.numpy(), edges, density=True, histtype="step", color="tab:red", label="sampled now")
        density.set(xlabel=name, ylabel="density")
        low, middle, high = torch.quantile(before, torch.tensor([0.05, 0.5, 0.95])).tolist()
        history.axhspan(low, high, color="tab:gray", alpha=0.3, linewidth=0, label="reference, 5 to 95 %")
        history.axhline(middle, color="tab:gray", linestyle="--")
        if table:
            bounds = ([row[f"{level}_{name}"] for row in table] for level in (LOW, HIGH))
            history.fill_between(rounds, *bounds, color="tab:red", alpha=0.25, linewidth=0, label="sampled, 5 to 95 %")
            history.plot(rounds, [row[f"{MIDDLE}_{name}"] for row in table], color="tab:red", marker=".")
        history.set(xlabel="round", ylabel=name)
    named = {label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels())}
    figure.legend(named.values(), named.keys(), loc="outside upper center", ncols=2, frameon=False, fontsize="small")
    return figure
