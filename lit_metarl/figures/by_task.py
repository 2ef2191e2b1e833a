"""An evaluation by task: returns, and the agent's beliefs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lit_metarl.evaluation import TaskResults

MOST_COORDINATES = 6
PANEL = 3.2  # inches


def plot_returns(results: TaskResults, task_names: Sequence[str]) -> Figure:
    """Return of the first and of the adapted (last) episode against every task coordinate (the first six).

    Where there are two coordinates, a map beside them shows the adapted return of every task.
    """
    if len(task_names) == 2:
        figure, (*panels, plane) = _panels([*task_names, task_names[0]])
        first, second = results.tasks.T.cpu().numpy()
        dots = plane.scatter(first, second, c=results.returns[:, -1].cpu().numpy(), s=24)
        plane.set_ylabel(task_names[1])
        figure.colorbar(dots, ax=plane, label=f"return, episode {results.returns.shape[1]}")
    else:
        figure, panels = _panels(task_names)
    returns = results.returns.cpu().numpy()
    for panel, values in zip(panels, results.tasks.T.cpu().numpy()):
        if returns.shape[1] > 1:
            panel.scatter(values, returns[:, 0], s=14, color="tab:gray", label="episode 1")
        panel.scatter(values, returns[:, -1], s=14, color="tab:blue", label=f"episode {returns.shape[1]}")
    panels[0].set_ylabel("return")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False)
    return figure


def plot_beliefs(results: TaskResults, task_names: Sequence[str]) -> Figure | None:
    """The agent's belief after the trial on each task, on the two main axes, colored by each task coordinate.

    None if the agent offers no beliefs, or has the same about all tasks.
    """
    if results.beliefs is None or len(results.beliefs) < 3:
        return None
    places = main_axes(results.beliefs.cpu())
    if not bool(places.abs().max() > 0):
        return None
    first, second = places.T.numpy()
    figure, panels = _panels(task_names)
    for panel, name, values in zip(panels, task_names, results.tasks.T.cpu().numpy()):
        dots = panel.scatter(first, second, c=values, s=18, cmap="viridis")
        figure.colorbar(dots, ax=panel, label=name)
        panel.set_xlabel("first main axis of the belief")
        panel.set_aspect("equal", adjustable="datalim")  # one scale: what does not differ looks so
    panels[0].set_ylabel("second main axis")
    return figure


def main_axes(vectors: Tensor) -> Tensor:
    """`vectors` `[n, size]` on the two axes along which they differ most, `[n, 2]` (principal components)."""
    centered = (vectors - vectors.mean(0)).double()
    left, singular, _ = torch.linalg.svd(centered, full_matrices=False)
    places = left[:, :2] * singular[:2]
    return torch.nn.functional.pad(places, (0, 2 - places.shape[1]))


def _panels(task_names: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """One pair of axes for every coordinate, side by side, its name below."""
    names = task_names[:MOST_COORDINATES]
    figure = Figure(figsize=(PANEL * len(names) + 1.0, PANEL), dpi=80, layout="constrained")
    panels: list[Axes] = list(figure.subplots(1, len(names), squeeze=False)[0])
    for panel, name in zip(panels, names):
        panel.set_xlabel(name)
    return figure, panels
