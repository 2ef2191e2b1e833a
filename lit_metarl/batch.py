"""Many runs from one file: experiments × methods × seeds, one process each, resumed where they stopped.

    python -m lit_metarl.batch --config results/hfr/batch.yaml --jobs 2

The file lists experiments; each names its configuration files, its seeds, and by method the files that are
added to them:

    folder: runs/evidence/hfr
    experiments:
      point_robot:
        configs: [configs/low_data/point_robot.yaml]
        seeds: [1, 2, 3]
        methods:
          none: [configs/relabel/none.yaml]
          hfr: [configs/relabel/hfr.yaml]

A run's folder is FOLDER/EXPERIMENT/METHOD/seed_N. One that has its `results.json` is not run again; one that
was interrupted goes on from its last checkpoint.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from jsonargparse import ActionYesNo, ArgumentParser
from jsonargparse.typing import PositiveInt

from envs.errors import ConfigurationError, require
from lit_metarl.checkpoints import LAST

RUN = "import sys; from lit_metarl.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Experiment:
    """Runs that are to be compared.

    Attributes:
        configs: configuration files of every run, in order.
        methods: by method, the further configuration files that make it.
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
        folder: where it writes.
        arguments: of `train.py`.
    """

    folder: Path
    arguments: list[str]

    @property
    def finished(self) -> bool:
        """Whether it came to its end, in this batch or an earlier one."""
        return any(self.folder.glob("version_*/results.json"))

    def execute(self) -> bool:
        """Run it or go on with it, its output added to `run.log`; whether it succeeded."""
        self.folder.mkdir(parents=True, exist_ok=True)
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
        with (self.folder / "run.log").open("a") as log:
            command = [sys.executable, "-c", RUN, *self.arguments]
            status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=one_thread, check=False)
        return status.returncode == 0


def runs_of(folder: Path, experiments: dict[str, Experiment]) -> list[Run]:
    """All runs of a batch, seed by seed, so that every method has its first seeds early.

    Raises:
        ConfigurationError: if a configuration file does not exist.
    """
    runs = []
    for name, experiment in experiments.items():
        for path in (*experiment.configs, *(path for paths in experiment.methods.values() for path in paths)):
            require(Path(path).is_file(), f"experiments.{name}", path, "there is no such file", "Correct the path.")
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
                runs.append(Run(place / f"seed_{seed}", arguments))
    return runs


def run_batch(runs: list[Run], jobs: int) -> list[Run]:
    """Run what is not finished, `jobs` at a time; the runs that failed."""
    todo = [run for run in runs if not run.finished]
    print(f"{len(runs) - len(todo)} of {len(runs)} runs are finished, {len(todo)} to go, {jobs} at a time", flush=True)

    def execute(run: Run) -> bool:
        succeeded = run.execute()
        print(f"{'finished' if succeeded else 'FAILED  '} {run.folder}", flush=True)
        return succeeded

    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(execute, todo))
    return [run for run, succeeded in zip(todo, outcomes) if not succeeded]


def main(args: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = ArgumentParser(prog="python -m lit_metarl.batch", description="Runs many configurations, resumably.")
    parser.add_argument("--config", action="config", help="The file that lists the experiments.")
    parser.add_argument("--folder", type=Path, required=True, help="Where the runs write.")
    parser.add_argument("--experiments", type=dict[str, Experiment], required=True, help="The experiments by name.")
    parser.add_argument("--jobs", type=PositiveInt, default=1, help="Runs at a time, one thread each.")
    parser.add_argument("--list", action=ActionYesNo, default=False, help="Only say which runs are to be made.")
    options = parser.parse_args(args)
    try:
        runs = runs_of(options.folder, options.experiments)
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.list:
        for run in runs:
            print(f"{'finished' if run.finished else 'to do   '} {run.folder}")
        return 0
    failed = run_batch(runs, options.jobs)
    for run in failed:
        print(f"failed: {run.folder}, see {run.folder / 'run.log'}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
