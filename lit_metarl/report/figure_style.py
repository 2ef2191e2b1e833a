"""How every figure looks, and how it becomes files that are equal for equal rows."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from lit_metarl.report.row_files import unwritable

REFERENCE_COLOUR = "#4d4d4d"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, told apart with every kind of color vision, without the yellow that white swallows."""
LINES = ("-", "--", ":")
"""With more methods than colors, these tell the rounds apart."""

LEGEND_WIDTH, LEGEND_LINE = 70, 6
"""Characters that fit into a legend's row, and what an entry takes beside its name."""

NO_BREAK = "\N{NO-BREAK SPACE}"
INTERVAL_OPACITY = 0.18

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # matplotlib brings it along
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#808080",
    "axes.labelcolor": "#222222",
    "axes.titlesize": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "svg.fonttype": "path",  # looks the same wherever it is opened
    "svg.hashsalt": "lit_metarl",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the report's style."""
    with mpl.rc_context(RC):
        yield


class Look:
    """One color and line a method, the same in all figures.

    Args:
        methods: all methods of the report, in order.
        reference: drawn in gray.
    """

    def __init__(self, methods: Sequence[str], reference: str | None) -> None:
        others = [method for method in methods if method != reference]
        self.methods = tuple(methods)
        self._colors = {method: COLOURS[place % len(COLOURS)] for place, method in enumerate(others)}
        self._lines = {method: LINES[place // len(COLOURS) % len(LINES)] for place, method in enumerate(others)}
        if reference is not None:
            self._colors[reference], self._lines[reference] = REFERENCE_COLOUR, "-"

    def color(self, method: str) -> str:
        """A method's color."""
        return self._colors[method]

    def line(self, method: str) -> str:
        """A method's line style."""
        return self._lines[method]


def new_figure(height: float = 3.5, width: float = 5.8) -> tuple[Figure, Axes]:
    """A figure with one pair of axes; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def step_axis(axes: Axes) -> None:
    """The x-axis of environment steps, with thousands as "100 k"."""
    axes.set_xlabel("Environment steps")
    axes.xaxis.set_major_formatter(EngFormatter(sep=NO_BREAK))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.margins(x=0.02)


def legend_above(figure: Figure, axes: Axes) -> None:
    """Name the methods once, above the axes."""
    handles, labels = axes.get_legend_handles_labels()
    widths = [len(label) + LEGEND_LINE for label in labels]
    columns = len(labels) if sum(widths) <= LEGEND_WIDTH else max(1, LEGEND_WIDTH // max(widths))
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, handlelength=1.6, columnspacing=1.4)


def save_figure(figure: Figure, path: Path) -> bytes:
    """Write `path`.png and `path`.svg, without dates; the SVG's content.

    Raises:
        ConfigurationError: if they cannot be written.
    """
    vector = io.BytesIO()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path.with_name(f"{path.name}.png"), metadata={"Software": None})
        figure.set_layout_engine("none")  # it is laid out now, and the SVG shall look the same
        figure.savefig(vector, format="svg", metadata={"Date": None, "Creator": None})
        path.with_name(f"{path.name}.svg").write_bytes(vector.getvalue())
    except OSError as error:
        raise unwritable(path, error) from error
    return vector.getvalue()
