"""`python -m lit_metarl.report FOLDER`: a page about the runs in a folder; `rows` and `plot` are its two steps."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, auto_cli
from jsonargparse.typing import NonNegativeInt, PositiveInt

from envs.errors import ConfigurationError
from lit_metarl.report.films import films_in
from lit_metarl.report.make_report import ALWAYS, make_report
from lit_metarl.report.make_rows import make_rows
from lit_metarl.report.statistics import Bootstrap

PROGRAM = "python -m lit_metarl.report"


def rows_command(runs: Path, rows: Path) -> None:
    """Read runs into rows (CSV), from which any figure is plotted without the runs.

    Args:
        runs: Folder of a run, or with runs in it.
        rows: Folder that the rows are written to.
    """
    for line in make_rows(runs, rows):
        print(f"found {line}")
    print(f"Rows: {rows}")


def plot_command(
    rows: Path,
    output: Path | None = None,
    reference: str | None = None,
    metrics: list[str] = list(ALWAYS),  # noqa: B006  jsonargparse copies it and shows it in --help
    resamples: PositiveInt = 2000,
    bootstrap_seed: NonNegativeInt = 0,
) -> None:
    """Plot figures (PNG and SVG), tables (CSV) and one HTML page from rows.

    Args:
        rows: Folder of the rows.
        output: Folder that the report is written to (null: 'report' inside the folder of the rows).
        reference: Method that the others are measured against.
        metrics: Validation metrics to plot curves of.
        resamples: Bootstrap resamples behind every interval.
        bootstrap_seed: Seed of the resamples.
    """
    options = {
        "reference": (reference, None),
        "metrics": (metrics, list(ALWAYS)),
        "resamples": (resamples, Bootstrap.resamples),
        "bootstrap_seed": (bootstrap_seed, Bootstrap.seed),
    }
    given = [f"--{name} {shlex.quote(str(value))}" for name, (value, default) in options.items() if value != default]
    command = " ".join([PROGRAM, "plot", shlex.quote(str(rows)), *given])
    bootstrap = Bootstrap(resamples, bootstrap_seed)
    print(f"Report: {make_report(rows, output or rows / 'report', reference, metrics, bootstrap, command)}")


def all_command(runs: Path, rows: Path | None = None, reference: str | None = None) -> None:
    """Both steps with default settings, and the films that the runs have.

    Args:
        runs: Folder of a run, or with runs in it.
        rows: Folder that the rows are written to, and the report to its folder 'report' (null: both into the folder
            'report' of the runs).
        reference: Method that the others are measured against.
    """
    place, output = (runs / "report", runs / "report") if rows is None else (rows, rows / "report")
    rows_command(runs, place)
    command = shlex.join([PROGRAM, "all", str(runs), *([] if rows is None else [str(rows)])])
    command = command.replace(shlex.quote(PROGRAM), PROGRAM)
    print(f"Report: {make_report(place, output, reference, command=command, films=films_in(runs))}")


COMMANDS: dict[str, Any] = {"rows": rows_command, "plot": plot_command, "all": all_command}


def main(args: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    given = sys.argv[1:] if args is None else args
    if given and given[0] not in COMMANDS and not given[0].startswith("-"):
        given = ["all", *given]
    try:
        auto_cli(COMMANDS, args=given, prog=PROGRAM, exit_on_error=False)
    except (ConfigurationError, ArgumentError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
