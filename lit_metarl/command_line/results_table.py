"""The table of test results at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from rich.console import Console
from rich.table import Table

from datamodules.collection import Trials

MOST_TASKS = 20
"""Trials on more tasks are shown by their mean alone."""


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


def print_trials(groups: Sequence[Trials], task_names: Sequence[str], chosen: Sequence[int] | None = None) -> None:
    """Print the return of every episode on every task, and their means.

    Args:
        groups: the trials.
        task_names: of the tasks' coordinates.
        chosen: the numbers of the trials that are shown; None for all, if they are not many.
    """
    tasks = torch.cat([trials.tasks for trials in groups])
    returns = torch.cat([trials.episode_returns for trials in groups])
    table = Table(f"return, by {', '.join(task_names)}")
    for episode in range(returns.shape[1]):
        table.add_column(f"episode {episode + 1}", justify="right")
    shown = chosen if chosen is not None else range(len(tasks)) if len(tasks) <= MOST_TASKS else []
    for number in shown:
        task = ", ".join(f"{value:.3g}" for value in tasks[number].tolist())
        table.add_row(task, *(f"{value:.2f}" for value in returns[number].tolist()))
    if len(tasks) > 1:
        table.add_row(f"mean of {len(tasks):,}", *(f"{value:.2f}" for value in returns.mean(0).tolist()))
    Console().print(table)
