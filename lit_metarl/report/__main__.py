"""`python -m lit_metarl.report FOLDER`: a page about the runs in a folder; `rows` and `plot` are its two steps."""

from __future__ import annotations

import shlex
import sys
from inspect import signature
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, auto_cli
from jsonargparse.typing import PositiveInt

from envs.errors import ConfigurationError
from lit_metarl.report.event_logs import films_in
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


def plot_command(
    rows: Path,
    output: Path | None = None,
    reference: str | None = None,
    metrics: list[str] = list(ALWAYS),  # noqa: B006  jsonargparse copies it and shows it in --help
    resamples: PositiveInt = RESAMPLES,
) -> None:
    """Plot figures (PNG and SVG), tables (CSV) and one HTML page from rows.

    Args:
        rows: Folder of the rows.
        output: Folder that the report is written to (null: 'report' inside the folder of the rows).
        reference: Method that the others are measured against.
        metrics: Validation metrics to plot curves of.
        resamples: Bootstrap resamples behind every interval.
    """
    command = _command("plot", rows, reference=reference, metrics=metrics, resamples=resamples)
    print(f"Report: {make_report(rows, output or rows / 'report', reference, metrics, resamples, command)}")


def all_command(runs: Path, rows: Path, reference: str | None = None) -> None:
    """Both steps with default settings, and the films that the runs have.

    Args:
        runs: Folder of a run, or with runs in it.
        rows: Folder that the rows are written to, and the report to its folder 'report'.
        reference: Method that the others are measured against.
    """
    _rows_and_page(runs, rows, rows / "report", reference, _command("all", runs, rows, reference=reference))


def page_command(runs: Path, reference: str | None = None) -> None:
    """Both steps into the folder 'report' of the runs; "page" may be left out.

    Args:
        runs: Folder of a run, or with runs in it.
        reference: Method that the others are measured against.
    """
    _rows_and_page(runs, runs / "report", runs / "report", reference, _command(runs, reference=reference))


def _rows_and_page(runs: Path, rows: Path, output: Path, reference: str | None, command: str) -> None:
    rows_command(runs, rows)
    print(f"Report: {make_report(rows, output, reference, command=command, films=films_in(runs))}")


def _command(*parts: str | Path, **options: object) -> str:
    """What makes the same page again; options that have their default are left out."""
    defaults = signature(plot_command).parameters
    given = {name: value for name, value in options.items() if value != defaults[name].default}
    quoted = [*map(shlex.quote, map(str, parts)), *(f"--{name} {shlex.quote(str(given[name]))}" for name in given)]
    return " ".join([PROGRAM, *quoted])


COMMANDS: dict[str, Any] = {"rows": rows_command, "plot": plot_command, "all": all_command, "page": page_command}


def main(args: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    given = sys.argv[1:] if args is None else args
    if given and given[0] not in COMMANDS and not given[0].startswith("-"):
        given = ["page", *given]
    try:
        auto_cli(COMMANDS, args=given, prog=PROGRAM, exit_on_error=False)
    except (ConfigurationError, ArgumentError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
