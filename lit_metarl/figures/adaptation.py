"""The adaptation curve over the course of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def plot_adaptation(returns: Mapping[int, Sequence[float]]) -> Figure:
    """Return by episode of a trial, one line a validation; later ones are darker, and the first is dashed.

    Args:
        returns: by environment steps, the mean return of every episode.
    """
    figure = Figure(figsize=(4.8, 3.6), dpi=100, layout="constrained")
    axes = figure.subplots()
    first, last = min(returns), max(returns)
    for steps, curve in sorted(returns.items()):
        shade = 0.25 + 0.75 * (steps - first) / max(last - first, 1)
        label = f"{steps:,} steps" if steps in (first, last) else None
        style: dict[str, Any] = {"color": colormaps["Blues"](shade), "linewidth": 1.0}
        if steps == last:
            style |= {"linewidth": 3.0, "marker": "o"}
        elif steps == first:
            style |= {"color": "tab:gray", "linestyle": "--"}
        axes.plot(range(1, len(curve) + 1), curve, label=label, **style)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="episode of the trial", ylabel="return, held-out tasks")
    axes.legend(frameon=False, fontsize="small")
    return figure
