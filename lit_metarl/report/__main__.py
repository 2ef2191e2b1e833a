"""`python -m lit_metarl.report FOLDER`: a page about the runs in a folder; `rows` and `plot` are its two steps."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, auto_cli
from jsonargparse.typing import PositiveInt

from envs.errors import ConfigurationError
from lit_metarl.report.event_logs import Film, films_in
from lit_metarl.report.make_report import ALWAYS, make_report
from lit_metarl.report.make_rows import make_rows
from lit_metarl.report.statistics import RESAMPLES

PROGRAM = "python -m lit_metarl.report"


def rows_command(runs: Path, rows: Path, add: bool = False) -> None:
    """Read runs into rows (CSV), from which any figure is plotted without the runs.

    Args:
        runs: Folder of a run, or with runs in it.
        rows: Folder that the rows are written to.
        add: Whether the rows of other runs that are there stay: for runs of several machines.
    """
    for line in make_rows(runs, rows, add):
        print(f"found {line}")
    print(f"Rows: {rows}")


def plot_command(rows: Path, **options: Any) -> None:
    """Plot figures (PNG and SVG), tables (CSV) and one HTML page from rows.

    Args:
        rows: Folder of the rows.
        options: See `_plot`.
    """
    _plot(rows, rows / "report", ("plot", rows), {}, **options)


def all_command(runs: Path, rows: Path, **options: Any) -> None:
    """Both steps, and the films that the runs have.

    Args:
        runs: Folder of a run, or with runs in it.
        rows: Folder that the rows are written to, and the report to its folder 'report'.
        options: See `_plot`.
    """
    rows_command(runs, rows)
    _plot(rows, rows / "report", ("all", runs, rows), films_in(runs), **options)


def page_command(runs: Path, **options: Any) -> None:
    """Both steps into the folder 'report' of the runs; "page" may be left out.

    Args:
        runs: Folder of a run, or with runs in it.
        options: See `_plot`.
    """
    rows_command(runs, runs / "report")
    _plot(runs / "report", runs / "report", (runs,), films_in(runs), **options)


def _plot(
    rows: Path,
    place: Path,
    parts: tuple[str | Path, ...],
    films: Mapping[str, list[Film]],
    output: Path | None = None,
    reference: str | None = None,
    metrics: list[str] = list(ALWAYS),  # noqa: B006  jsonargparse copies it and shows it in --help
    resamples: PositiveInt = RESAMPLES,
) -> None:
    """Plot rows; the page names the command, which begins with `parts`, without the options that have their default.

    Args:
        rows: Folder of the rows.
        place: Where the report goes by default.
        parts: Of the command.
        films: By experiment.
        output: Folder that the report is written to (null: the folder 'report').
        reference: Method that the others are measured against.
        metrics: Validation metrics to plot curves of.
        resamples: Bootstrap resamples behind every interval.
    """
    options = {"reference": reference, "metrics": metrics, "resamples": resamples}
    defaults = signature(_plot).parameters
    given = [f"--{name}={value}" for name, value in options.items() if value != defaults[name].default]
    command = f"{PROGRAM} {shlex.join([*map(str, parts), *given])}"
    print(f"Report: {make_report(rows, output or place, reference, metrics, resamples, command, films)}")


COMMANDS: dict[str, Any] = {"rows": rows_command, "plot": plot_command, "all": all_command, "page": page_command}


def main(args: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    given = sys.argv[1:] if args is None else args
    if given and given[0] not in COMMANDS and not given[0].startswith("-"):
        given = ["page", *given]
    try:
        auto_cli(COMMANDS, args=given, prog=PROGRAM, exit_on_error=False)
    except (ConfigurationError, ArgumentError) as error:
        several = str(error).startswith("unrecognized arguments: ") and "arguments: -" not in str(error)
        hint = ". Give one folder: the one above all runs (a copy or links will do)." if several else ""
        print(f"error: {error}{hint}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
