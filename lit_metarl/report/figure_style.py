"""How methods look in every figure, and how a figure becomes files that are equal for equal rows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import cycle, product
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lit_metarl.report.rows import write_file

REFERENCE_COLOR = "#4d4d4d"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, told apart with every kind of color vision; without its yellow, which is too light here."""
LINES = ("-", "--", ":")
"""With more methods than colors, these tell the rounds apart."""

LEGEND_WIDTH, LEGEND_LINE, LEGEND_ROW = 70, 6, 0.21
"""Characters that fit into a legend's row, what an entry takes beside its name, and a row's height in inches."""


class Style(NamedTuple):
    """A method's color and line, the same in all figures."""

    color: str
    line: str


def styles_of(methods: Sequence[str], reference: str | None) -> dict[str, Style]:
    """The style of every method of the report; the reference is gray."""
    others = [method for method in methods if method != reference]
    styles = dict(zip(others, cycle(Style(color, line) for line, color in product(LINES, COLORS))))
    return styles if reference is None else {reference: Style(REFERENCE_COLOR, "-"), **styles}


def new_figure(height: float = 3.5) -> tuple[Figure, Axes]:
    """A figure with one pair of axes; its height in inches."""
    figure = Figure(figsize=(5.8, height), layout="constrained")
    return figure, figure.subplots()


def legend_above(figure: Figure, axes: Axes) -> None:
    """Name the methods once, above the axes; the figure grows by the rows that this takes, and the axes stay."""
    handles, labels = axes.get_legend_handles_labels()
    widths = [len(label) + LEGEND_LINE for label in labels]
    columns = len(labels) if sum(widths) <= LEGEND_WIDTH else max(1, LEGEND_WIDTH // max(widths))
    rows = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * (rows - 1))
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, handlelength=1.6, columnspacing=1.4)


def save_figure(figure: Figure, path: Path) -> bytes:
    """Write `path`.png and `path`.svg, without dates; the SVG's content.

    Raises:
        ConfigurationError: if they cannot be written.
    """
    pixels, vector = io.BytesIO(), io.BytesIO()
    figure.savefig(pixels, format="png", metadata={"Software": None})
    figure.set_layout_engine("none")  # keeps the layout of the PNG
    figure.savefig(vector, format="svg", metadata={"Date": None, "Creator": None})
    write_file(path.with_name(f"{path.name}.png"), pixels.getvalue())
    write_file(path.with_name(f"{path.name}.svg"), vector.getvalue())
    return vector.getvalue()
