"""The command line of batches: `python -m lit_metarl.batch --config BATCH.yaml`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ActionYesNo

from envs.errors import ConfigurationError, require, require_positive, require_writable
from lit_metarl.batch.changes import changes, mistake_in_resuming
from lit_metarl.batch.claims import holder
from lit_metarl.batch.cluster import Resources, local_starter, submit
from lit_metarl.batch.experiments import experiment_of, runs_of
from lit_metarl.batch.here import Stopped, run_batch
from lit_metarl.batch.runs import Run
from lit_metarl.command_line.mistakes import ConciseParser, Mistake
from lit_metarl.naming import expanded

GO_ON = "give the same command to continue"


def main(args: list[str] | None = None) -> int:
    """Run the command line; the exit status.

    0 only if all runs are finished or submitted, 128 and the number of the signal that stopped it, 2 for a mistake of
    the user, 1 if a run failed.
    """
    try:
        return _batch(_parser().parse_args(args))
    except (ConfigurationError, Mistake) as error:
        return _refuse(error)
    except Stopped as stop:
        print(f"stopped by {signal.Signals(stop.number).name}; {GO_ON}", file=sys.stderr)
        return 128 + stop.number
    except KeyboardInterrupt:
        print(f"stopped before any run began; {GO_ON}", file=sys.stderr)
        return 128 + signal.SIGINT


def _parser() -> ConciseParser:
    parser = ConciseParser(prog="python -m lit_metarl.batch", description="Runs many configurations, resumably.")
    parser.add_argument("--config", action="config", help="The file that lists the experiments.")
    parser.add_argument("--folder", type=Path | None, default=None, help="Where the runs write (must be given).")
    parser.add_argument("--experiments", type=dict[str, Any], default={}, help="The experiments by name.")
    parser.add_argument("--jobs", type=int, default=1, help="Runs at a time, one thread each.")
    parser.add_argument(
        "--cluster",
        type=Literal["slurm", "local"] | None,
        default=None,
        help="Submit the runs as jobs, to SLURM or to this machine (null: run them here, without jobs).",
    )
    parser.add_argument("--resources", type=Resources, default=Resources(), help="What a job asks the cluster for.")
    parser.add_argument("--list", action=ActionYesNo, default=False, help="Only list the runs and their states.")
    return parser


def _batch(options: Any) -> int:
    resources = Resources(**vars(options.resources))
    resources.check()
    require_positive("jobs", options.jobs)
    require(options.folder is not None, "folder", None, "it must be given", "Name the folder that the runs write into.")
    folder = Path(expanded(str(options.folder)))
    runs = runs_of(folder, {name: experiment_of(name, given) for name, given in options.experiments.items()})
    _warn_of_other_settings(runs)
    if options.list:
        for run in runs:
            print(_state(run))
    mistake = _mistake_in(runs)
    if mistake is not None:
        return _refuse(mistake)
    if options.list:
        return 0
    require_writable("folder", folder)
    if options.cluster == "slurm":
        return _submit(runs, folder, resources, options.jobs)
    start = local_starter(folder, resources) if options.cluster == "local" else Run.start
    return _summarize(runs, run_batch(runs, options.jobs, start))


def _refuse(mistake: object) -> int:
    print(f"error: {mistake}", file=sys.stderr)
    return 2


def _state(run: Run) -> str:
    """A run's line in the list."""
    claimed_by = holder(run.folder)
    if run.finished:
        return f"finished    {run.folder}"
    if claimed_by:
        return f"claimed     {run.folder} ({claimed_by})"
    return f"{'interrupted' if run.interrupted else 'to do      '} {run.folder}"


def _warn_of_other_settings(runs: list[Run]) -> None:
    folders: dict[str, list[str]] = {}
    for run in runs:
        change = changes(run) if run.finished else ""
        if change:
            folders.setdefault(change, []).append(str(run.folder))
    for change, changed in folders.items():
        print(f"warning: finished with other settings ({change}): {', '.join(changed)}", file=sys.stderr)
    if folders:
        print("To run them again, remove their folders.", file=sys.stderr)


def _mistake_in(runs: list[Run]) -> str | None:
    """What is wrong with the first unfinished run that could not start or go on.

    Runs that differ only in their seed are parsed once, by the parser that they will use.
    """
    from lit_metarl.cli import Check  # imports everything that a run needs

    check = Check()
    unfinished = [run for run in runs if not run.finished]
    for place, run in {run.folder.parent: run for run in unfinished}.items():
        mistake = check(run.arguments)
        if mistake is not None:
            experiment, method = place.parts[-2:]
            mistake = mistake.replace("in the text given, line 1", "among the values in the batch file")
            return f"experiments.{experiment}, method {method}: {mistake}"
    return next(filter(None, (mistake_in_resuming(run, check) for run in unfinished)), None)


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
