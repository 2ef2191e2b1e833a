"""The table of test results at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table


def print_results(columns: Mapping[str, Mapping[str, float]], title: str) -> None:
    """Print metrics side by side.

    Args:
        columns: by column heading, the metrics by name; the last column decides which rows there are.
        title: above the table.
    """
    table = Table("metric")
    for heading in columns:
        table.add_column(heading, justify="right")
    for name in list(columns.values())[-1]:
        cells = [f"{metrics[name]:.2f}" if name in metrics else "" for metrics in columns.values()]
        table.add_row(name, *cells)
    console = Console()
    console.print(title, highlight=False, soft_wrap=True)
    console.print(table)
