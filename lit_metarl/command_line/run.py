"""A run that is built and checked: what every subcommand works with."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from datamodules import RolloutDataModule
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.callbacks import HyperParameters, MetaRLProgressBar
from lit_metarl.checkpoints import ExactResume
from lit_metarl.configuration_hash import configuration_hash
from lit_metarl.evaluation import task_rows, write_task_rows
from lit_metarl.whole_files import write_whole


@dataclass(frozen=True)
class Run:
    """The parts of a run, and what it writes into its folder.

    Attributes:
        trainer: Lightning's.
        model: the algorithm.
        datamodule: the data side.
        options: of the subcommand, as they were parsed.
        configuration: all of it, as primitives.
        trained_under: the configuration that the agent was trained under, as primitives.
        exact_resume: the callback that makes checkpoints exact.
        hyperparameters: the callback that logs them.
        folder: where the run writes; right on rank 0 only.
        numbered: the loggers that choose the number of the run's folder.
    """

    trainer: pl.Trainer
    model: MetaRLModule
    datamodule: RolloutDataModule
    options: Any
    configuration: dict[str, Any]
    trained_under: dict[str, Any]
    exact_resume: ExactResume
    hyperparameters: HyperParameters
    folder: Path
    numbered: tuple[TensorBoardLogger | CSVLogger, ...] = ()

    def begun(self) -> Run:
        """This run in a folder of its own: with the next number where a run that began at the same time was faster."""
        if self.trainer.is_global_zero:
            for folder in {logger.root_dir for logger in self.numbered}:
                _number([logger for logger in self.numbered if logger.root_dir == folder], Path(folder))
        return replace(self, folder=folder_of(self.trainer))

    @property
    def keeps_results(self) -> bool:
        """Whether this process writes results: only rank 0 does, and not under `fast_dev_run`, which has no folder."""
        return self.trainer.is_global_zero and not self.configuration["trainer"]["fast_dev_run"]

    @property
    def title(self) -> str:
        """The algorithm and the environment."""
        return f"{type(self.model).__name__} on {self.datamodule.meta_spec.name}"

    @property
    def tail(self) -> str:
        """What the numbers of the last evaluation are of."""
        assert self.model.evaluated is not None
        tasks, episodes = self.model.evaluated.returns.shape
        number = self.datamodule.evaluation.trials_per_task
        trials = "one trial" if number == 1 else f"{number} trials"
        episode = f"the last of {episodes} episodes" if episodes > 1 else "the episode"
        return (
            f"Return, CVaR (the worst {100 * self.model.cvar_alpha:g} %) and success: of {episode} of {trials} on each "
            f"of {tasks:,} tasks, without exploration noise"
        )

    def metrics(self, prefix: str) -> dict[str, float]:
        """The metrics of the evaluation that just ended, those whose names begin with `prefix`."""
        metrics = self.trainer.callback_metrics
        return {name: float(value) for name, value in metrics.items() if name.startswith(prefix)}

    def test(self, checkpoint: str | None, tested: str) -> dict[str, float]:
        """Evaluate a checkpoint (None: the agent as it is) on the test tasks; the metrics.

        Args:
            checkpoint: its path.
            tested: what the progress bar calls it.
        """
        bar = self.trainer.progress_bar_callback
        if isinstance(bar, MetaRLProgressBar):
            bar.tested = tested
        self.trainer.test(
            self.model, datamodule=self.datamodule, ckpt_path=checkpoint, verbose=False, weights_only=True
        )
        return self.metrics("test/")

    def write_versions(self) -> None:
        """Write `versions.json`: what the results depend on beside the configuration."""
        packages = {name: metadata.version(name) for name in ("torch", "gymnasium", "mujoco")}
        self.write_json("versions.json", {**packages, **self.datamodule.env.versions})

    def write_json(self, name: str, content: Any) -> None:
        """Write a file into the run's folder."""
        write_whole(self.folder / name, f"{json.dumps(content, indent=1)}\n".encode())

    def write_task_rows(self) -> Path:
        """Write one row for every task and episode of the test that just ended; the file."""
        assert self.model.evaluated is not None
        rows = task_rows(
            self.model.evaluated,
            self.datamodule.meta_spec,
            seed=self.trained_under["seed_everything"],
            configuration=configuration_hash(self.trained_under),
            environment_steps=self.datamodule.environment_steps,
        )
        return write_task_rows(rows, self.folder)

    def remove_empty_logs(self) -> None:
        """Remove the event files of this run that hold nothing: TensorBoard would list an empty run."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # slow to import

        logs = [Path(logger.log_dir) for logger in self.trainer.loggers if isinstance(logger, TensorBoardLogger)]
        for path in (path for folder in logs for path in folder.glob("events.out.tfevents.*")):
            if not any(EventAccumulator(str(path)).Reload().Tags().values()):
                path.unlink()


def folder_of(trainer: pl.Trainer) -> Path:
    """Where a run writes. It is called before the ranks would exchange it, and right on rank 0 only."""
    return Path(trainer.log_dir or trainer.default_root_dir)


def numbering(trainer: pl.Trainer) -> tuple[TensorBoardLogger | CSVLogger, ...]:
    """The loggers of a run that choose the number of its folder, for the user gave none.

    To be asked before a logger is asked for its folder, which makes it choose.
    """
    kinds = (TensorBoardLogger, CSVLogger)
    return tuple(logger for logger in trainer.loggers if isinstance(logger, kinds) and logger._version is None)


def _number(loggers: list[TensorBoardLogger | CSVLogger], folder: Path) -> None:
    """Create the `version_<number>` in `folder` that all these loggers then write into."""
    number = int(loggers[0].version)
    while True:
        try:
            (folder / f"version_{number}").mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            break
    for logger in loggers:
        logger._version = number
