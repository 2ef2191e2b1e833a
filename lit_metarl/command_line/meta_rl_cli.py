"""From a configuration to a run that is built and checked: where environments, data side and algorithms meet."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.cli import LightningArgumentParser

from datamodules import RolloutDataModule
from datamodules.checks import check_agent, check_ranks
from envs import ConfigurationError
from envs.errors import require_writable
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.callbacks import EvaluationReporter, HyperParameters, MetaRLProgressBar, OffendingBatch
from lit_metarl.checkpoints import ExactResume
from lit_metarl.command_line import subcommands
from lit_metarl.command_line.checks import (
    check_files,
    check_folder,
    check_kept,
    check_limits,
    check_profiler,
    check_switches,
    check_weights,
)
from lit_metarl.command_line.given_checkpoint import (
    REQUEUED,
    RESUME_KEYWORDS,
    GivenCheckpoint,
    open_checkpoint,
    was_requeued,
)
from lit_metarl.command_line.messages import tell
from lit_metarl.command_line.mistakes import missing_requirement
from lit_metarl.command_line.parsing import ParsingCLI
from lit_metarl.command_line.run import Run, folder_of, numbering
from lit_metarl.command_line.sections import placed
from lit_metarl.naming import expand_folders, named_loggers, run_name
from lit_metarl.threads import use_threads
from lit_metarl.trainer_arguments import check_trainer


class MetaRLCLI(ParsingCLI):
    """`fit`, `validate`, `test` and `predict` for any combination of environment, algorithm, sampler and relabeler.

    The environment's sizes go from the data side to the algorithm, the seed to both; neither is given twice.
    """

    datamodule: RolloutDataModule
    model: MetaRLModule
    run: Run

    def __init__(self, *classes: Any, **settings: Any) -> None:
        """Parse and run a command; a class's mistake gets the key under which its arguments are configured."""
        self.configuration = {}
        try:
            super().__init__(*classes, **settings)
        except ConfigurationError as error:
            raise placed(error, self.configuration) from error.__cause__

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and refuse a checkpoint that cannot be used."""
        super().parse_arguments(parser, args)
        config, fits = self.config[self.config.subcommand], self.config.subcommand == "fit"
        self._exact_resume = ExactResume(self.configuration)
        self._hyperparameters = HyperParameters(self.configuration, self.typed)
        self.trainer_defaults["callbacks"] = [
            *([] if config.trainer.enable_progress_bar is False else [MetaRLProgressBar()]),
            EvaluationReporter(),
            self._hyperparameters,
            OffendingBatch(),
            self._exact_resume,
        ]
        if fits and not config.ckpt_path and was_requeued(config.trainer.default_root_dir):
            config.ckpt_path = REQUEUED  # as Lightning does, but with the checks of a run that is resumed
        if config.ckpt_path and config.ckpt_path != REQUEUED and "ckpt_path" not in self.typed:
            tell(f"ckpt_path = {config.ckpt_path} is from a configuration file (--ckpt_path=null to leave it out).")
        if fits and config.ckpt_path:
            self.save_config_kwargs["overwrite"] = True  # the run may go on in its own folder
        self._checkpoint: GivenCheckpoint | None = None
        if config.ckpt_path and not (fits and config.ckpt_path in RESUME_KEYWORDS):
            resuming = self._exact_resume if fits else None
            self._checkpoint = open_checkpoint(Path(config.ckpt_path), resuming, self.configuration)
        elif not fits:
            tell("warning: without --ckpt_path, the agent is an untrained one.")

    def before_instantiate_classes(self) -> None:
        """Set the number of threads."""
        threads = self.config[self.config.subcommand].threads
        if threads is not None:
            use_threads(threads)

    def instantiate_classes(self) -> None:
        """Build everything."""
        config = self.config[self.config.subcommand]
        check_switches(config.trainer)
        expand_folders(config)
        try:
            with named_loggers(config.trainer.logger, run_name(self.configuration)):
                super().instantiate_classes()
        except ConfigurationError:
            raise
        except ValueError as error:  # what a constructor refuses; jsonargparse may wrap it
            if isinstance(error.__cause__, ConfigurationError):
                raise error.__cause__ from error
            raise MisconfigurationException(missing_requirement(str(error))) from error

    def after_instantiate_classes(self) -> None:
        """Check that the parts fit together."""
        options, fits = self.config_init[self.config.subcommand], self.config.subcommand == "fit"
        if self._checkpoint is not None:
            check_weights(self._checkpoint.path, self._checkpoint.shapes, self.model)
        check_agent(self.datamodule, self.model)
        check_trainer(self.trainer, self.datamodule, self.model, fits=fits)
        check_limits(self.trainer, self.config.subcommand)
        if fits:
            check_profiler(self.trainer)
            best, last = self.config.fit.checkpoint, self.config.fit.last_checkpoint
            check_kept(best.save_top_k, best.filename)
            check_files((best.dirpath, best.filename), (last.dirpath, last.filename))
            check_ranks(self.datamodule, self.model, self.trainer.world_size)
        if not self.trainer.is_global_zero:  # what all ranks would say is said by one
            logging.getLogger("datamodules").setLevel(logging.ERROR)
        numbered, folder = numbering(self.trainer), folder_of(self.trainer)
        require_writable("trainer.logger.init_args.save_dir", folder)
        if fits and not self.save_config_kwargs.get("overwrite"):
            check_folder(folder)
        self.run = Run(
            self.trainer,
            self.model,
            self.datamodule,
            options,
            self.configuration,
            (None if self._checkpoint is None else self._checkpoint.configuration) or self.configuration,
            self._exact_resume,
            self._hyperparameters,
            folder,
            numbered,
        )

    def fit(self, **arguments: Any) -> None:
        """What Lightning calls for `fit`."""
        subcommands.fit(self.run, arguments)

    def validate(self, **arguments: Any) -> None:
        """What Lightning calls for `validate`."""
        subcommands.validate(self.run, arguments)

    def test(self, **arguments: Any) -> None:
        """What Lightning calls for `test`."""
        subcommands.test(self.run, arguments)

    def predict(self, **arguments: Any) -> None:
        """What Lightning calls for `predict`."""
        subcommands.predict(self.run, arguments)
