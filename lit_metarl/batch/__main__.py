"""The command line of batches: `python -m lit_metarl.batch --config BATCH.yaml`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ActionYesNo, ArgumentParser
from jsonargparse.typing import PositiveInt

from envs.errors import ConfigurationError, require
from lit_metarl.batch.cluster import Resources, local_execution, submit
from lit_metarl.batch.experiments import Experiment, runs_of
from lit_metarl.batch.here import run_batch
from lit_metarl.batch.runs import Run

GO_ON = "give the same command to resume"


def main(args: list[str] | None = None) -> int:
    """Run the command line; the exit status: 0 only if all runs are finished or submitted, 130 after Ctrl-C."""
    try:
        return _batch(_parser().parse_args(args))
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted; {GO_ON}", file=sys.stderr)
        return 128 + signal.SIGINT


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m lit_metarl.batch", description="Runs many configurations, resumably.")
    parser.add_argument("--config", action="config", help="The file that lists the experiments.")
    parser.add_argument("--folder", type=Path, required=True, help="Where the runs write.")
    parser.add_argument("--experiments", type=dict[str, Experiment], required=True, help="The experiments by name.")
    parser.add_argument("--jobs", type=PositiveInt, default=1, help="Runs at a time, one thread each.")
    parser.add_argument(
        "--cluster",
        type=Literal["slurm", "local"] | None,
        default=None,
        help="Submit the runs as jobs, to SLURM or to this machine (null: run them here, without jobs).",
    )
    parser.add_argument("--resources", type=Resources, default=Resources(), help="What a job asks the cluster for.")
    parser.add_argument(
        "--list", action=ActionYesNo, default=False, help="Only list the runs and whether they are finished."
    )
    return parser


def _batch(options: Any) -> int:
    resources = Resources(**vars(options.resources))
    resources.check()
    runs = runs_of(options.folder, options.experiments)
    _warn_of_other_settings(runs)
    if options.list:
        for run in runs:
            print(f"{'finished' if run.finished else 'to do   '} {run.folder}")
        return 0
    mistake = _mistake_in(runs)
    if mistake is not None:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    _check_writable(options.folder)
    if options.cluster == "slurm":
        return _submit(runs, options.folder, resources, options.jobs)
    if options.cluster == "local":
        failed = run_batch(runs, options.jobs, local_execution(options.folder, resources))
    else:
        failed = run_batch(runs, options.jobs)
    return _summarize(runs, failed)


def _warn_of_other_settings(runs: list[Run]) -> None:
    others = [str(run.folder) for run in runs if run.finished_with_others]
    if others:
        print(f"warning: finished with other settings than those in the file now: {', '.join(others)}", file=sys.stderr)
        print("To run them again, remove their folders.", file=sys.stderr)


def _mistake_in(runs: list[Run]) -> str | None:
    """What is wrong with the first unfinished run that could not start, with its experiment and method.

    Runs that differ only in their seed are parsed once, by the parser that they will use.
    """
    from lit_metarl.cli import Check  # imports everything that a run needs

    check = Check()
    for place, run in {run.folder.parent: run for run in runs if not run.finished}.items():
        mistake = check(run.arguments)
        if mistake is not None:
            experiment, method = place.parts[-2:]
            return f"experiments.{experiment}, method {method}: {mistake}"
    return None


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK) else "Permission denied"
    except OSError as error:
        reason = error.strerror or str(error)
    require(not reason, "folder", str(folder), f"runs cannot be written there ({reason})", "Give another.")


def _submit(runs: list[Run], folder: Path, resources: Resources, jobs: int) -> int:
    todo = [run for run in runs if not run.finished]
    print(f"{len(runs) - len(todo)} of {len(runs)} runs are finished, {len(todo)} to go")
    if todo:
        array = submit(todo, folder, resources, jobs)
        print(f"Submitted as job array {array}, {jobs} at a time. With --list, this command shows what is finished.")
    return 0


def _summarize(runs: list[Run], failed: list[Run]) -> int:
    """Say what is not finished; the exit status."""
    for run in failed:
        print(f"failed: {run.folder}, see {run.folder / 'run.log'}", file=sys.stderr)
    unfinished = [run for run in runs if not run.finished and run not in failed]
    if unfinished:
        print(f"{len(unfinished)} of {len(runs)} runs were stopped; {GO_ON}", file=sys.stderr)
    return int(bool(failed or unfinished))


if __name__ == "__main__":
    sys.exit(main())
