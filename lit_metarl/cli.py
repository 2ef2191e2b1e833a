"""The command line: the one place that knows worlds, data side and algorithms."""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import sys
import tempfile
import warnings
from contextlib import ExitStack
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from jsonargparse import set_parsing_settings
from jsonargparse.typing import PositiveInt
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import SIGTERMException

from datamodules import RolloutDataModule, ranks
from envs import ConfigurationError, WorldSpec
from envs.errors import NonFiniteError, require
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.callbacks import (
    EvaluationReporter,
    HyperParameters,
    MetaRLProgressBar,
    OffendingBatch,
    TensorBoardFigures,
    print_results,
)
from lit_metarl.checkpoints import (
    CONFIGURATION,
    LAST,
    CheckpointNotWritten,
    ExactResume,
    Interrupted,
    LastCheckpoint,
    RunCheckpoint,
    check_configuration,
    folders_of_runs,
    newest_whole,
    read_checkpoint,
    whole,
)
from lit_metarl.config_errors import ConciseParser, missing_requirement
from lit_metarl.configuration_hash import configuration_hash
from lit_metarl.evaluation import TASK_ROWS, TASK_ROWS_CSV, RunFacts, task_rows, write_task_rows
from lit_metarl.prediction import TRIALS, checked_tasks, predicting, write_trials
from lit_metarl.strategy import register

RESUME_KEYWORDS = (LAST, "hpc")  # found when the run's folder is known
SUBCOMMANDS = {
    "fit": "Train, then compare the best checkpoint with the untrained agent on the test tasks.",
    "validate": "Evaluate a checkpoint on the validation tasks.",
    "test": "Evaluate a checkpoint on the test tasks.",
    "predict": "Run trials with a checkpoint, on tasks of your choice, and write or film them.",
}


class MetaRLCLI(LightningCLI):
    """`fit`, `validate`, `test` and `predict` for any composition of world, algorithm, sampler and relabeler.

    The world's sizes go from the data side to the algorithm, the seed to both; neither is typed twice.
    `fit` ends with a table of the test tasks' results before and after training.
    """

    config: Any
    datamodule: RolloutDataModule
    model: MetaRLModule

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The seed of all random streams, and the number of threads."""
        parser.add_argument(
            "--seed_everything", type=int, default=1, help="Seed of the weights and of every random stream of the run."
        )

        parser.add_argument(
            "--threads",
            type=PositiveInt | None,
            default=None,
            help="Threads of the networks on a CPU (null: torch's choice); a world's physics has its own.",
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Checkpoints, progress, and the links between the parts."""
        parser.add_lightning_class_args(RunCheckpoint, "checkpoint")
        parser.set_defaults(
            {
                "checkpoint.monitor": "val/return",
                "checkpoint.mode": "max",
                "checkpoint.filename": "best",
                "checkpoint.enable_version_counter": False,
                "checkpoint.save_on_train_epoch_end": True,
            }
        )
        # Lightning's own `save_last` leaves the file behind when a validation was no improvement.
        parser.add_lightning_class_args(LastCheckpoint, "last_checkpoint")
        parser.set_defaults(
            {
                "last_checkpoint.filename": LAST,
                "last_checkpoint.enable_version_counter": False,
                "last_checkpoint.save_on_train_epoch_end": True,
            }
        )
        parser.add_lightning_class_args(TensorBoardFigures, "figures")
        parser.link_arguments("data.world", "model.init_args.world", apply_on="instantiate")
        parser.link_arguments("seed_everything", "data.seed")
        parser.link_arguments("seed_everything", "model.init_args.seed")

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        """Describe the subcommands as they are here: Lightning's descriptions are of its `Trainer`."""
        super()._add_subcommands(parser, **{name: {"description": text} for name, text in SUBCOMMANDS.items()})
        assert parser._subcommands_action is not None
        for listed in parser._subcommands_action._choices_actions:
            listed.help = SUBCOMMANDS[listed.dest]

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        """The options of one subcommand only, for which Lightning has no hook."""
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        use = "to go on from: its path, or 'last' for the newest" if subcommand == "fit" else "to load (its path)"
        for group in parser._action_groups:
            for action in group._group_actions:
                if action.dest == "ckpt_path":
                    group.title, action.help = "Checkpoint", f"The checkpoint {use}."
                elif action.dest == "trainer.max_epochs":
                    group.title = "Lightning's Trainer, with its own explanations"
        last = [group for group in parser._action_groups if str(group.title).startswith("Lightning's Trainer")]
        parser._action_groups = [group for group in parser._action_groups if group not in last] + last
        if subcommand in ("validate", "test"):
            parser.set_defaults(verbose=False)  # the results are printed by `print_results`
        if subcommand in ("fit", "test"):
            parser.add_argument(
                "--csv",
                type=bool,
                default=False,
                help=f"Write the test's rows by task and episode ({TASK_ROWS}) as {TASK_ROWS_CSV} too.",
            )
        if subcommand == "predict":
            parser.add_argument(
                "--tasks",
                type=list[list[float]] | None,
                default=None,
                help='Tasks to run trials on, such as "[[0.5],[2.5]]" (null: the test tasks).',
            )
            parser.add_argument(
                "--video", action="store_true", help="Film the trial of every one of the tasks into an mp4 file."
            )
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and refuse a checkpoint that is not one."""
        super().parse_arguments(parser, args)
        config = self.config[self.config.subcommand]
        shown = [] if config.trainer.enable_progress_bar is False else [MetaRLProgressBar()]
        self._configuration = json.loads(
            self._parser(self.config.subcommand).dump(config, skip_none=False, format="json")
        )
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
            _tell("warning: without --ckpt_path, the agent is an untrained one.")

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
        return saved

    def before_instantiate_classes(self) -> None:
        """Set the number of threads."""
        threads = self.config[self.config.subcommand].threads
        if threads is not None:
            torch.set_num_threads(threads)
            os.environ["OMP_NUM_THREADS"] = str(threads)  # or Lightning would choose a number for several ranks

    def instantiate_classes(self) -> None:
        """Build everything, then check that the parts fit together."""
        try:
            super().instantiate_classes()
        except ValueError as error:  # what a constructor refuses; jsonargparse may wrap it
            if isinstance(error.__cause__, ConfigurationError):
                raise error.__cause__ from error
            raise MisconfigurationException(missing_requirement(str(error))) from error
        if self._weights is not None:
            _check_weights(*self._weights, self.model)
        self.datamodule.check_agent(self.model)
        if self.config.subcommand == "fit":
            self.datamodule.check_ranks(self.model, self.trainer.world_size)
        if not self.trainer.is_global_zero:  # what all ranks would say is said by one
            logging.getLogger("datamodules").setLevel(logging.ERROR)
        _check_writable(self._folder)

    def before_fit(self) -> None:
        """Find the checkpoint to resume from; without one, evaluate the untrained agent on the test tasks."""
        if self.config.fit.ckpt_path == LAST:
            self.config_init.fit.ckpt_path = self._find_last()
        if not self.config_init.fit.ckpt_path:
            self._exact_resume.before = self._test(None)
        self._record_versions()

    def _record_versions(self) -> None:
        """Write `versions.json`: what the figures depend on beside the configuration."""
        if self.trainer.is_global_zero:
            packages = {name: metadata.version(name) for name in ("torch", "gymnasium", "mujoco")}
            self._folder.mkdir(parents=True, exist_ok=True)
            content = {**packages, **self.datamodule.env.versions}
            (self._folder / "versions.json").write_text(json.dumps(content, indent=1) + "\n")

    def _find_last(self) -> str | None:
        """The newest whole checkpoint of the newest run that has any; None to start afresh."""
        given = self.config_init.fit.last_checkpoint.dirpath
        folders = [Path(given)] if given else folders_of_runs(self._folder / "checkpoints")
        folder = next((folder for folder in folders if any(folder.glob("*.ckpt"))), None)
        if folder is None:
            _tell("There is no checkpoint to resume from yet: the run starts afresh.")
            return None
        choice = newest_whole(folder)
        for refused in choice.refused:
            _tell(f"warning: {refused.path} is passed over: {refused.reason}.")
        assert choice.checkpoint is not None
        _tell(f"Resuming from {choice.checkpoint}.")
        self._check_checkpoint(choice.checkpoint, resumes=True)
        return str(choice.checkpoint)

    def after_fit(self) -> None:
        """Evaluate the best checkpoint on the test tasks and print the comparison."""
        best = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
        trained = f"{self._title}, {self.datamodule.environment_steps:,} environment steps"
        results = {"before": self._exact_resume.before, "after": self._test(best or None)}
        self._hyperparameters.log_results(self.trainer, results["after"], self.datamodule.environment_steps)
        if self.trainer.is_global_zero:
            print_results(results, trained)
            self._write_task_rows()
            (self._folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
            if best:
                print(f"Best checkpoint: {best}")

    def after_test(self) -> None:
        """Print the figures."""
        if self.trainer.is_global_zero:
            print_results({"test": self._figures("test/")}, self._title)
            print(f"By task and episode: {self._write_task_rows()}")

    def after_validate(self) -> None:
        """Print the figures."""
        if self.trainer.is_global_zero:
            print_results({"validation": self._figures("val/")}, self._title)

    def _write_task_rows(self) -> Path:
        """Write one row for every task and episode of the test that was just done."""
        assert self.model.evaluated is not None
        trained, steps = self._trained_under, self.datamodule.environment_steps
        run = RunFacts(self.datamodule.world, trained["seed_everything"], configuration_hash(trained), steps)
        return write_task_rows(task_rows(self.model.evaluated, run), self._folder, as_csv=self._configuration["csv"])

    def predict(self, **arguments: Any) -> None:
        """Run trials on the tasks that were asked for, or on the test tasks, and write and film them."""
        given, videos = self.config.predict.tasks, self._folder / "videos" if self.config.predict.video else None
        hint = 'Name the tasks to film, such as --tasks "[[0.5],[2.5]]".'
        require(given is not None or videos is None, "video", True, "filming all test tasks would take long", hint)
        processes = self.trainer.world_size
        hint = "Use --trainer.devices=1."
        require(videos is None or processes == 1, "trainer.devices", processes, "one process films", hint)
        with ExitStack() as stack:
            films: list[Path] = []
            if given is not None:
                tasks = checked_tasks(given, self.datamodule.env)
                exploration = self.model.exploration_episodes
                films = stack.enter_context(predicting(self.datamodule, tasks, exploration, videos))
            trials: Any = self.trainer.predict(**arguments)
        if self.trainer.is_global_zero:
            path = self._folder / TRIALS
            write_trials(trials, self.datamodule.world, path)
            print(f"Trials: {path}")
            for film in films:
                print(f"Video: {film}")

    @cached_property
    def _folder(self) -> Path:
        """Where the run writes: rank 0's alone is right. First asked for before the ranks would exchange it."""
        return Path(self.trainer.log_dir or self.trainer.default_root_dir)

    @property
    def _title(self) -> str:
        return f"{type(self.model).__name__} on {self.datamodule.world.name}"

    def _test(self, checkpoint: str | None) -> dict[str, float]:
        self.trainer.test(
            self.model, datamodule=self.datamodule, ckpt_path=checkpoint, verbose=False, weights_only=True
        )
        return self._figures("test/")

    def _figures(self, prefix: str) -> dict[str, float]:
        metrics = self.trainer.callback_metrics
        return {name: float(value) for name, value in metrics.items() if name.startswith(prefix)}


@rank_zero_only
def _tell(message: str) -> None:
    """Say something about the run on stderr, once."""
    print(message, file=sys.stderr)


def _report(error: Exception) -> None:
    """Say what went wrong. Until the ranks have found each other, all of them see the same mistake."""
    if ranks.number() > 1:
        print(f"error on rank {ranks.own()}: {error}", file=sys.stderr)
    else:
        _tell(f"error: {error}")


def _check_weights(path: Path, saved: dict[str, tuple[int, ...]], model: MetaRLModule) -> None:
    """Raise a `ConfigurationError` unless the weights of a checkpoint, by name and shape, fit the algorithm."""
    own = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    different = next((name for name in sorted(saved | own) if saved.get(name) != own.get(name)), None)
    if different is not None:
        there, here = (str(list(shapes[different])) if different in shapes else "missing" for shapes in (saved, own))
        raise ConfigurationError(
            "ckpt_path",
            str(path),
            f"its networks are not those of this configuration ({different} is {there} there, {here} here)",
            "Give the configuration that it was trained under: config.yaml in the run's folder.",
        )


def _check_writable(folder: Path) -> None:
    """Raise a `ConfigurationError` unless files can be written in `folder`, which may not exist yet."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise ConfigurationError(
            "trainer.logger.init_args.save_dir",
            str(folder),
            f"the folder cannot be written ({error.strerror})",
            "Choose a folder that you may write to.",
        ) from error


def _quiet_libraries() -> None:
    """Silence what the libraries say and a user can do nothing about."""
    for name in ("torchrl", "pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*is smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty.*")
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")  # what is logged is of all ranks already
    warnings.filterwarnings("ignore", message=".*args parameter is intended to run from within Python.*")


def _how_to_resume(args: list[str], checkpoint: Path) -> str:
    """The command that goes on from `checkpoint` with the rest of `args` as it was."""
    kept: list[str] = []
    given = iter(args)
    for argument in given:
        if argument == "--ckpt_path":
            next(given, None)
        elif not argument.startswith("--ckpt_path="):
            kept.append(argument)
    path = checkpoint.relative_to(Path.cwd()) if checkpoint.is_relative_to(Path.cwd()) else checkpoint
    program = sys.argv[0] if sys.argv[0].endswith("train.py") else "train.py"
    return shlex.join(["python", program, *kept, "--ckpt_path", str(path)])


def main(args: list[str] | None = None) -> int:
    """Run the command line; the exit status.

    0 for success, 2 for a mistake of the user, 130 or 143 where a signal stopped the run, 1 for what else went wrong.
    """
    _quiet_libraries()
    register()
    set_parsing_settings(subclasses_enabled=[WorldSpec])  # one linked value, not a group of options
    try:
        MetaRLCLI(
            MetaRLModule,
            RolloutDataModule,
            subclass_mode_model=True,
            auto_configure_optimizers=False,
            parser_class=ConciseParser,
            parser_kwargs={"description": "Train and evaluate agents that adapt to new tasks."},
            trainer_defaults={
                "enable_model_summary": False,
                "logger": {
                    "class_path": "pytorch_lightning.loggers.TensorBoardLogger",
                    "init_args": {"save_dir": "runs", "name": None},
                },
                "num_sanity_val_steps": 0,
            },
            args=args,
        )
    except (ConfigurationError, MisconfigurationException) as error:  # ours, and Lightning's
        _report(error)
        return 2
    except (NonFiniteError, CheckpointNotWritten, ranks.FailedElsewhere) as error:
        _report(error)
        return 1
    except Interrupted as stop:
        if ranks.own() > 0:
            return 0  # Lightning kills rank 0 where another rank fails, and it has something to say
        command = _how_to_resume(sys.argv[1:] if args is None else args, stop.checkpoint)
        print(f"Stopped by {signal.Signals(stop.number).name}; everything is saved. To go on:\n  {command}")
        return 128 + stop.number
    except SIGTERMException:  # outside training, where there is nothing to save
        return 128 + signal.SIGTERM
    except SystemExit as leaving:
        if isinstance(leaving.__context__, KeyboardInterrupt):  # how Lightning leaves
            return 128 + signal.SIGINT
        raise
    return 0
