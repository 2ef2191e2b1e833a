"""What the subcommands do: the one place that knows worlds, data side and algorithms."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import ExitStack
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.cli import LightningArgumentParser
from pytorch_lightning.utilities import rank_zero_only

from datamodules import RolloutDataModule
from envs import ConfigurationError, MetaEnv
from envs.errors import require
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.callbacks import (
    EvaluationReporter,
    HyperParameters,
    MetaRLProgressBar,
    OffendingBatch,
    print_results,
)
from lit_metarl.checkpoints import (
    CONFIGURATION,
    LAST,
    ExactResume,
    best_of,
    check_configuration,
    folders_of_runs,
    newest_whole,
    read_checkpoint,
    whole,
)
from lit_metarl.command_line.arguments import SUBCOMMANDS, ArgumentsCLI, spell_out
from lit_metarl.command_line.checks import (
    check_callbacks,
    check_drawing,
    check_files,
    check_folder,
    check_kept,
    check_limits,
    check_monitor,
    check_profiler,
    check_switches,
    check_weights,
    check_writable,
)
from lit_metarl.command_line.given import files_first, typed, warn_of_environment, warn_of_overridden
from lit_metarl.command_line.layers import Layers
from lit_metarl.command_line.mistakes import (
    Mistake,
    missing_requirement,
    refuse_base_environment,
    refuse_nulls,
    refuse_own_seed,
)
from lit_metarl.command_line.modes import set_modes
from lit_metarl.configuration_hash import configuration_hash
from lit_metarl.evaluation import RunFacts, task_rows, write_task_rows
from lit_metarl.prediction import TRIALS, checked_tasks, predicting, write_trials
from lit_metarl.threads import use_threads
from lit_metarl.trainer_arguments import check_trainer

REQUEUED = "hpc"  # Lightning's word for the checkpoint of a job that SLURM requeued
RESUME_KEYWORDS = (LAST, REQUEUED)  # found when the run's folder is known


class MetaRLCLI(ArgumentsCLI):
    """`fit`, `validate`, `test` and `predict` for any composition of world, algorithm, sampler and relabeler.

    The world's sizes go from the data side to the algorithm, the seed to both; neither is typed twice.
    `fit` ends with a table of the test tasks' results before and after training.
    """

    config: Any
    datamodule: RolloutDataModule
    model: MetaRLModule

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and refuse a checkpoint that is not one."""
        self._parse_layers(parser, sys.argv[1:] if args is None else args)
        config = self.config[self.config.subcommand]
        seed = config.seed_everything
        require(seed >= 0, "seed_everything", seed, "it must be a whole number, 0 or more", "Correct it.")
        shown = [] if config.trainer.enable_progress_bar is False else [MetaRLProgressBar()]
        own_parser = self._parser(self.config.subcommand)
        spell_out(config.trainer)
        self._configuration = json.loads(own_parser.dump(config, skip_none=False, format="json"))
        for part in ("model", "data"):
            refuse_nulls(self._configuration[part], part)
        refuse_base_environment(self._configuration["data"]["env"], own_parser)
        self._exact_resume = ExactResume(self._configuration)
        self._hyperparameters = HyperParameters(self._configuration)
        self.trainer_defaults["callbacks"] = [
            *shown,
            EvaluationReporter(),
            self._hyperparameters,
            OffendingBatch(),
            self._exact_resume,
        ]
        fits = self.config.subcommand == "fit"
        if fits and config.ckpt_path:
            self.save_config_kwargs["overwrite"] = True  # the run may go on in its own folder
        self._trained_under = self._configuration
        self._weights: tuple[Path, dict[str, tuple[int, ...]]] | None = None
        if config.ckpt_path and not (fits and config.ckpt_path in RESUME_KEYWORDS):
            saved = self._check_checkpoint(Path(config.ckpt_path), resumes=fits)
            self._trained_under = saved or self._configuration
        elif self.config.subcommand != "fit":
            tell("warning: without --ckpt_path, the agent is an untrained one.")

    def _parse_layers(self, parser: LightningArgumentParser, args: list[str]) -> None:
        """Parse files before arguments, so that what is typed counts, and say where a mistake was given."""
        layers = Layers(typed(args))
        parsers: list[Any] = [parser, *self._subcommand_parsers.values()]
        for own in parsers:
            own.layers = layers
        try:
            super().parse_arguments(parser, files_first(args, list(SUBCOMMANDS)))
            refuse_own_seed(layers.arguments, layers.files)
            set_modes(self.config[self.config.subcommand], layers)
        except Mistake as mistake:
            refuse_own_seed(layers.arguments, layers.files)
            raise mistake.placed(layers) from None
        finally:
            for warning in (*warn_of_overridden(layers.arguments), *warn_of_environment(SUBCOMMANDS), *layers.warnings):
                tell(f"warning: {warning}")

    def _check_checkpoint(self, path: Path, resumes: bool) -> dict[str, Any]:
        """Refuse a checkpoint that is not one, and one that training cannot go on from if it `resumes`.

        Returns:
            The configuration that it was written under; empty if it does not say.
        """
        content = read_checkpoint(path)
        saved: dict[str, Any] = content.get(CONFIGURATION, {})
        self._weights = (path, {name: tuple(weight.shape) for name, weight in content["state_dict"].items()})
        if resumes:
            whole(path)
            check_configuration(path, saved, self._configuration)
            self._exact_resume.load_state_dict(content["callbacks"][self._exact_resume.state_key])
        return saved

    def before_instantiate_classes(self) -> None:
        """Set the number of threads."""
        threads = self.config[self.config.subcommand].threads
        if threads is not None:
            use_threads(threads)

    def instantiate_classes(self) -> None:
        """Build everything, then check that the parts fit together."""
        check_switches(self.config[self.config.subcommand].trainer)
        try:
            super().instantiate_classes()
        except ValueError as error:  # what a constructor refuses; jsonargparse may wrap it
            if isinstance(error.__cause__, ConfigurationError):
                raise error.__cause__ from error
            raise MisconfigurationException(missing_requirement(str(error))) from error
        if self._weights is not None:
            check_weights(*self._weights, self.model)
        self.datamodule.check_agent(self.model)
        check_trainer(self.trainer, self.datamodule, self.model, fits=self.config.subcommand == "fit")
        check_limits(self.trainer, self.config.subcommand)
        if self.config.subcommand == "fit":
            check_profiler(self.trainer)
            best, last = self.config.fit.checkpoint, self.config.fit.last_checkpoint
            check_kept(best.save_top_k, best.filename)
            check_files((best.dirpath, best.filename), (last.dirpath, last.filename))
            self.datamodule.check_ranks(self.model, self.trainer.world_size)
        if not self.trainer.is_global_zero:  # what all ranks would say is said by one
            logging.getLogger("datamodules").setLevel(logging.ERROR)
        check_writable(self._folder)
        if self.config.subcommand == "fit" and not self.save_config_kwargs.get("overwrite"):
            check_folder(self._folder)

    def before_fit(self) -> None:
        """Find the checkpoint to resume from; without one, evaluate the untrained agent on the test tasks."""
        if self.config.fit.ckpt_path == LAST:
            self.config_init.fit.ckpt_path = self._find_last()
        elif self.config.fit.ckpt_path == REQUEUED:
            self.config_init.fit.ckpt_path = self._find_requeued()
        if not self.config_init.fit.ckpt_path:
            self._exact_resume.before = self._test(None)
        check_monitor("checkpoint.monitor", self.config.fit.checkpoint.monitor, self._exact_resume.before)
        check_callbacks(self.trainer, self._exact_resume.before)
        self._record_versions()

    def _record_versions(self) -> None:
        """Write `versions.json`: what the figures depend on beside the configuration."""
        if self._keeps_results:
            packages = {name: metadata.version(name) for name in ("torch", "gymnasium", "mujoco")}
            self._folder.mkdir(parents=True, exist_ok=True)
            content = {**packages, **self.datamodule.env.versions}
            (self._folder / "versions.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def _find_last(self) -> str | None:
        """The newest whole checkpoint of the newest run that has any; None to start afresh."""
        given = self.config_init.fit.last_checkpoint.dirpath
        folders = [Path(given)] if given else folders_of_runs(self._folder / "checkpoints")
        folder = next((folder for folder in folders if any(folder.glob("*.ckpt"))), None)
        if folder is None:
            tell("There is no checkpoint to resume from yet: the run starts afresh.")
            return None
        choice = newest_whole(folder)
        for refused in choice.refused:
            tell(f"warning: {refused.path} is passed over: {refused.reason}.")
        assert choice.checkpoint is not None
        tell(f"Resuming from {choice.checkpoint}.")
        self._check_checkpoint(choice.checkpoint, resumes=True)
        return str(choice.checkpoint)

    def _find_requeued(self) -> str:
        """The checkpoint of a job that SLURM requeued."""
        path = self.trainer._checkpoint_connector._hpc_resume_path
        if path is None:
            folder = self.trainer.default_root_dir
            reason = f"no job that SLURM requeues has left an hpc_ckpt_N.ckpt in {folder} (trainer.default_root_dir)"
            hint = f"Give a path, {LAST} for the newest checkpoint of a run, or leave it out to start afresh."
            raise ConfigurationError("ckpt_path", REQUEUED, reason, hint)
        self._check_checkpoint(Path(path), resumes=True)
        return str(path)

    def after_fit(self) -> None:
        """Evaluate the best checkpoint on the test tasks and print the comparison."""
        best = getattr(best_of(self.trainer), "best_model_path", "")
        if not best:
            tell(
                "warning: there is no best checkpoint, for there was no validation: 'after' is the agent as it is now."
            )
        trained = f"{self._title}, {self.datamodule.environment_steps:,} environment steps"
        results = {"before": self._exact_resume.before, "after": self._test(best or None)}
        self._hyperparameters.log_results(self.trainer, results["after"], self.datamodule.environment_steps)
        if self.trainer.is_global_zero:
            print_results(results, trained)
        if self._keeps_results:
            self._write_task_rows()
            (self._folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        if best and self.trainer.is_global_zero:
            print(f"Best checkpoint: {best}")

    def after_test(self) -> None:
        """Print the figures."""
        if self.trainer.is_global_zero:
            print_results({"test": self._figures("test/")}, self._title)
        if self._keeps_results:
            print(f"By task and episode: {self._write_task_rows()}")

    def after_validate(self) -> None:
        """Print the figures."""
        if self.trainer.is_global_zero:
            print_results({"validation": self._figures("val/")}, self._title)

    def _write_task_rows(self) -> Path:
        """Write one row for every task and episode of the test that was just done."""
        assert self.model.evaluated is not None
        trained, steps = self._trained_under, self.datamodule.environment_steps
        run = RunFacts(self.datamodule.meta_spec, trained["seed_everything"], configuration_hash(trained), steps)
        return write_task_rows(task_rows(self.model.evaluated, run), self._folder)

    def predict(self, **arguments: Any) -> None:
        """Run trials on the tasks that were asked for, or on the test tasks, and write and film them."""
        given, videos = self.config.predict.tasks, self._folder / "videos" if self.config.predict.video else None
        drawn = type(self.datamodule.env).draw is not MetaEnv.draw
        hint = "Leave --video out, or give the world a method draw."
        require(videos is None or drawn, "video", True, f"{self.datamodule.meta_spec.name} has no picture", hint)
        hint = 'Name the tasks to film, such as --tasks "[[0.5],[2.5]]".'
        require(given is not None or videos is None, "video", True, "filming all test tasks would take long", hint)
        kept = arguments.get("return_predictions") is not False
        require(kept, "return_predictions", False, "the trials would be lost", "Leave it out.")
        processes = self.trainer.world_size
        hint = "Use --trainer.devices=1."
        require(videos is None or processes == 1, "trainer.devices", processes, "one process films", hint)
        if videos is not None:
            check_drawing(self.datamodule.make_env(1, self.datamodule.seed))
        with ExitStack() as stack:
            films: list[Path] = []
            if given is not None:
                tasks = checked_tasks(given, self.datamodule.env)
                exploration = self.model.exploration_episodes
                films = stack.enter_context(predicting(self.datamodule, tasks, exploration, videos))
            trials: Any = self.trainer.predict(**arguments)
        if self.trainer.is_global_zero:
            path = self._folder / TRIALS
            write_trials(trials, self.datamodule.meta_spec, path)
            print(f"Trials: {path}")
            for film in films:
                print(f"Video: {film}")

    @cached_property
    def _folder(self) -> Path:
        """Where the run writes: rank 0's alone is right. First asked for before the ranks would exchange it."""
        return Path(self.trainer.log_dir or self.trainer.default_root_dir)

    @property
    def _keeps_results(self) -> bool:
        """Whether this process writes results: rank 0 does, but not of `fast_dev_run`, which has no folder."""
        return self.trainer.is_global_zero and not self._configuration["trainer"]["fast_dev_run"]

    @property
    def _title(self) -> str:
        return f"{type(self.model).__name__} on {self.datamodule.meta_spec.name}"

    def _test(self, checkpoint: str | None) -> dict[str, float]:
        self.trainer.test(
            self.model, datamodule=self.datamodule, ckpt_path=checkpoint, verbose=False, weights_only=True
        )
        return self._figures("test/")

    def _figures(self, prefix: str) -> dict[str, float]:
        metrics = self.trainer.callback_metrics
        return {name: float(value) for name, value in metrics.items() if name.startswith(prefix)}


@rank_zero_only
def tell(message: str) -> None:
    """Say something about the run on stderr, once."""
    print(message, file=sys.stderr)
