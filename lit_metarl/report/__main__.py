"""`python -m lit_metarl.report FOLDER`: a page about the runs in a folder; `rows` and `plot` are its two steps."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, auto_cli
from jsonargparse.typing import PositiveInt

from envs.errors import ConfigurationError
from lit_metarl.report.event_logs import films_in
from lit_metarl.report.make_report import ALWAYS, make_report
from lit_metarl.report.make_rows import make_rows
from lit_metarl.report.statistics import RESAMPLES

PROGRAM, REPORT = "python -m lit_metarl.report", "report"


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
    runs: Path | None = None,
) -> None:
    """Plot figures (PNG and SVG), tables (CSV) and one HTML page from rows.

    Args:
        rows: Folder of the rows.
        output: Folder of the report (null: 'report' inside the folder of the rows, or that one if it is called so).
        reference: Method that the others are measured against.
        metrics: Validation metrics to plot curves of.
        resamples: Bootstrap resamples behind every interval.
        runs: Folder of the runs, if the page is to have their films.
    """
    parts = ["plot", rows] if runs is None else ["all", runs, rows]
    if reference is not None:
        parts += ["--reference", reference]
    if metrics != list(ALWAYS):
        parts += ["--metrics", f"[{','.join(metrics)}]"]
    if resamples != RESAMPLES:
        parts += ["--resamples", resamples]
    command = f"{PROGRAM} {shlex.join(map(str, parts))}"  # that makes the same page, in its usual place
    place = output or (rows if rows.name == REPORT else rows / REPORT)
    films = films_in(runs) if runs is not None else {}
    print(f"Report: {make_report(rows, place, reference, metrics, resamples, command, films)}")


def all_command(runs: Path, rows: Path, **options: Any) -> None:
    """Both steps, with films; `FOLDER` alone stands for `all FOLDER FOLDER/report`.

    Args:
        runs: Folder of a run, or with runs in it.
        rows: Folder that the rows are written to.
        options: See `plot_command`.
    """
    rows_command(runs, rows)
    plot_command(rows, runs=runs, **options)


COMMANDS: dict[str, Any] = {"rows": rows_command, "plot": plot_command, "all": all_command}


def main(args: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    given = sys.argv[1:] if args is None else args
    if given and given[0] not in COMMANDS and not given[0].startswith("-"):
        given = ["all", given[0], str(Path(given[0], REPORT)), *given[1:]]
    try:
        auto_cli(COMMANDS, args=given, prog=PROGRAM, exit_on_error=False)
    except (ConfigurationError, ArgumentError) as error:
        several = re.match("unrecognized arguments: [^-]", str(error))
        hint = ". Give one folder, the one above all runs, or gather rows of some: rows RUN ROWS --add true."
        print(f"error: {error}{hint if several else ''}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
