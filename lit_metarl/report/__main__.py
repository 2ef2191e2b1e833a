"""`python -m lit_metarl.report {rows,plot,all}`: from runs to rows, from rows to a report, or both."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, auto_cli
from jsonargparse.typing import NonNegativeInt, PositiveInt

from envs.errors import ConfigurationError
from lit_metarl.report.make_report import ALWAYS, make_report
from lit_metarl.report.make_rows import make_rows
from lit_metarl.report.statistics import Bootstrap

PROGRAM = "python -m lit_metarl.report"


def rows_command(runs: Path, rows: Path) -> None:
    """Read run folders into rows (CSV), from which any figure is drawn without the runs.

    Args:
        runs: Folder with runs as <experiment>/<method>/seed_<number>/.
        rows: Folder that the rows are written to.
    """
    for line in make_rows(runs, rows):
        print(f"left out {line}")
    print(f"Rows: {rows}")


def plot_command(
    rows: Path,
    output: Path | None = None,
    reference: str | None = None,
    metrics: list[str] = list(ALWAYS),  # noqa: B006  jsonargparse copies it and shows it in --help
    resamples: PositiveInt = 2000,
    bootstrap_seed: NonNegativeInt = 0,
) -> None:
    """Draw figures (PNG and SVG), tables (CSV) and one HTML page from rows.

    Args:
        rows: Folder of the rows.
        output: Folder that the report is written to (null: 'report' inside the folder of the rows).
        reference: Method that the others are measured against.
        metrics: Validation metrics to draw curves of.
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
    place = output or rows / "report"
    print(f"Report: {make_report(rows, place, reference, metrics, Bootstrap(resamples, bootstrap_seed), command)}")


def all_command(runs: Path, rows: Path, reference: str | None = None) -> None:
    """Both steps with default settings.

    Args:
        runs: Folder with runs as <experiment>/<method>/seed_<number>/.
        rows: Folder that the rows are written to, and the report to its folder 'report'.
        reference: Method that the others are measured against.
    """
    rows_command(runs, rows)
    plot_command(rows, reference=reference)


def main(args: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    try:
        commands: dict[str, Any] = {"rows": rows_command, "plot": plot_command, "all": all_command}
        auto_cli(commands, args=args, prog=PROGRAM, exit_on_error=False)
    except (ConfigurationError, ArgumentError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
