"""Many runs from one file: experiments × methods × seeds, one process each, resumable.

    python -m lit_metarl.batch --config results/hfr/batch.yaml --jobs 2

The file lists experiments; each names its configuration files, its seeds, and for each method the files to add:

    folder: runs/evidence/hfr
    experiments:
      point_robot:
        configs: [configs/low_data/point_robot.yaml]
        seeds: [1, 2, 3]
        methods:
          none: [configs/relabel/none.yaml]
          hfr: [configs/relabel/hfr.yaml]

A run's folder is FOLDER/EXPERIMENT/METHOD/seed_N. A run that has its `results.json` is not repeated; one that was
interrupted resumes from its last checkpoint. A run has one logger, which writes there. Finished runs whose settings
differ from what the file now gives are named.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionYesNo, ArgumentParser
from jsonargparse.typing import PositiveInt

from envs.errors import ConfigurationError, require
from lit_metarl.checkpoints import LAST

FINISHED, STOPPED, FAILED = "finished", "stopped", "FAILED"
STOPPING = {status for number in (signal.SIGINT, signal.SIGTERM) for status in (128 + number, -number)}
"""Exit statuses of a run that a signal stopped, whether it shut down in order or was killed."""

OWN = ("seed_everything", "trainer.logger.save_dir", "trainer.logger.name", "ckpt_path")
"""What the batch sets for every run."""

SETTINGS = "batch_settings.json"
GO_ON = "give the same command to resume"


@dataclass(frozen=True)
class Experiment:
    """Runs to compare.

    Attributes:
        configs: configuration files of every run, in order.
        methods: for each method, its additional configuration files.
        seeds: of every method.
        arguments: further arguments of every run.
    """

    configs: list[str]
    methods: dict[str, list[str]]
    seeds: list[int]
    arguments: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """One run of a batch.

    Attributes:
        folder: its output folder.
        arguments: of `train.py`.
        settings: what identifies the run: the contents of its configuration files (without names and comments) and the
            arguments of its experiment.
    """

    folder: Path
    arguments: list[str]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether it was completed, in this batch or an earlier one."""
        return any(self.folder.glob("version_*/results.json"))

    @property
    def finished_with_others(self) -> bool:
        """Whether it was completed with other settings; False for runs that recorded none."""
        kept = self.folder / SETTINGS
        return self.finished and kept.is_file() and kept.read_text(encoding="utf-8") != self._settings_text

    @property
    def _settings_text(self) -> str:
        return json.dumps(self.settings, indent=1, sort_keys=True, default=str)

    def execute(self) -> str:
        """Start or resume it, appending to `run.log`; `FINISHED`, `STOPPED` by a signal, or `FAILED`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / SETTINGS).write_text(self._settings_text, encoding="utf-8")
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
        with (self.folder / "run.log").open("a", encoding="utf-8") as log:
            command = [sys.executable, "-m", "lit_metarl", *self.arguments]
            status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=one_thread, check=False)
        if status.returncode in STOPPING:
            return STOPPED
        return FAILED if status.returncode else FINISHED


def runs_of(folder: Path, experiments: dict[str, Experiment]) -> list[Run]:
    """All runs of a batch, seed by seed, so that the first seeds of every method come early.

    Raises:
        ConfigurationError: if there is nothing to run, two runs would share a folder, a name is not that of a single
            folder, a configuration file cannot be read, or a run does not have exactly one logger.
    """
    require(bool(experiments), "experiments", experiments, "it must name at least one", "Add an experiment.")
    runs = []
    for name, experiment in experiments.items():
        _check(name, experiment)
        paths_of_all = (*experiment.configs, *(path for paths in experiment.methods.values() for path in paths))
        contents = {path: _content(name, path) for path in paths_of_all}
        for paths in experiment.methods.values():
            files = [contents[path] for path in (*experiment.configs, *paths)]
            _check_logger(name, [*map(_logger_in_file, files), *_loggers_in(experiment.arguments)])
        for seed in experiment.seeds:
            for method, paths in experiment.methods.items():
                place = folder / name / method
                arguments = [
                    "fit",
                    *(f"--config={path}" for path in (*experiment.configs, *paths)),
                    *experiment.arguments,
                    f"--seed_everything={seed}",
                    "--trainer.enable_progress_bar=false",
                    f"--trainer.logger.init_args.save_dir={place}",
                    f"--trainer.logger.init_args.name=seed_{seed}",
                    f"--ckpt_path={LAST}",
                ]
                settings = {
                    "configs": [contents[path] for path in (*experiment.configs, *paths)],
                    "arguments": experiment.arguments,
                }
                runs.append(Run(place / f"seed_{seed}", arguments, settings))
    return runs


def mistake_in(runs: list[Run]) -> str | None:
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


def _check(name: str, experiment: Experiment) -> None:
    key, seeds, methods = f"experiments.{name}", experiment.seeds, experiment.methods
    for part in (name, *methods):
        single = Path(part).name == part and part not in ("", "..")
        require(single, key, part, "it must be the name of one folder, without '/'", "Rename it.")
    require(bool(methods), f"{key}.methods", methods, "it must name at least one", "Add a method.")
    require(bool(seeds), f"{key}.seeds", seeds, "it must list at least one", "Add a seed.")
    require(len(set(seeds)) == len(seeds), f"{key}.seeds", seeds, "a seed is one run", "List each seed once.")
    for argument in experiment.arguments:
        option = argument.partition("=")[0].removeprefix("--").replace("init_args.", "")
        hint = "Leave it out; seeds belong under seeds."
        require(option not in OWN, f"{key}.arguments", argument, "the batch sets it for every run", hint)


def _content(experiment: str, path: str) -> Any:
    """The content of a configuration file, as primitives."""
    key = f"experiments.{experiment}"
    require(Path(path).is_file(), key, path, "there is no such file", "Correct the path.")
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(key, path, f"it is not YAML ({error})", "Correct the file.") from error


def _check_logger(experiment: str, given: list[Any]) -> None:
    """Refuse several loggers, or none: only one can write into the run's folder. The last `given` counts."""
    last = next((logger for logger in reversed(given) if logger is not None), None)
    shown = (
        [part.get("class_path") if isinstance(part, dict) else part for part in last] if type(last) is list else last
    )
    require(
        last is None or isinstance(last, (str, dict)),
        f"experiments.{experiment}: trainer.logger",
        shown,
        "a run of a batch has one logger, whose folder is the run's",
        "Leave it out, or name one, such as pytorch_lightning.loggers.TensorBoardLogger.",
    )


def _logger_in_file(content: Any) -> Any:
    """`trainer.logger` of a configuration file; None if it has none."""
    trainer = content.get("trainer") if isinstance(content, dict) else None
    return trainer.get("logger") if isinstance(trainer, dict) else None


def _loggers_in(arguments: list[str]) -> list[Any]:
    """What `arguments` make of `trainer.logger`, in order."""
    found: list[Any] = []
    for argument, after in zip(arguments, [*arguments[1:], ""]):
        key, joined, value = argument.partition("=")
        value = value if joined else after
        if key == "--trainer.logger+":
            found.append([value])
        elif key == "--trainer.logger":
            with suppress(yaml.YAMLError):  # the run reports it
                found.append(yaml.safe_load(value))
    return found


def run_batch(runs: list[Run], jobs: int) -> list[Run]:
    """Run what is not finished, `jobs` at a time; returns the runs that failed."""
    todo = [run for run in runs if not run.finished]
    print(f"{len(runs) - len(todo)} of {len(runs)} runs are finished, {len(todo)} to go, {jobs} at a time", flush=True)

    def execute(run: Run) -> str:
        outcome = run.execute()
        print(f"{outcome:8} {run.folder}", flush=True)
        return outcome

    with ThreadPoolExecutor(jobs) as pool:
        try:
            outcomes = list(pool.map(execute, todo))
        except KeyboardInterrupt:  # the terminal interrupts the running runs too; wait for them
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [run for run, outcome in zip(todo, outcomes) if outcome == FAILED]


def main(args: list[str] | None = None) -> int:
    """Run the command line; the exit status: 0 only if all runs are finished, 130 after Ctrl-C."""
    parser = ArgumentParser(prog="python -m lit_metarl.batch", description="Runs many configurations, resumably.")
    parser.add_argument("--config", action="config", help="The file that lists the experiments.")
    parser.add_argument("--folder", type=Path, required=True, help="Where the runs write.")
    parser.add_argument("--experiments", type=dict[str, Experiment], required=True, help="The experiments by name.")
    parser.add_argument("--jobs", type=PositiveInt, default=1, help="Runs at a time, one thread each.")
    parser.add_argument(
        "--list", action=ActionYesNo, default=False, help="Only list the runs and whether they are finished."
    )
    options = parser.parse_args(args)
    try:
        runs = runs_of(options.folder, options.experiments)
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    others = [str(run.folder) for run in runs if run.finished_with_others]
    if others:
        print(f"warning: finished with other settings than those in the file now: {', '.join(others)}", file=sys.stderr)
        print("To run them again, remove their folders.", file=sys.stderr)
    if options.list:
        for run in runs:
            print(f"{'finished' if run.finished else 'to do   '} {run.folder}")
        return 0
    mistake = mistake_in(runs)
    if mistake is not None:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    try:
        failed = run_batch(runs, options.jobs)
    except KeyboardInterrupt:
        print(f"interrupted; {GO_ON}", file=sys.stderr)
        return 128 + signal.SIGINT
    for run in failed:
        print(f"failed: {run.folder}, see {run.folder / 'run.log'}", file=sys.stderr)
    unfinished = [run for run in runs if not run.finished and run not in failed]
    if unfinished:
        print(f"{len(unfinished)} of {len(runs)} runs were stopped; {GO_ON}", file=sys.stderr)
    return int(bool(failed or unfinished))


if __name__ == "__main__":
    sys.exit(main())
