"""The command line as a program: errors and exit statuses."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import warnings
from io import TextIOWrapper
from pathlib import Path
from typing import TypeVar

from jsonargparse import set_parsing_settings
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.exceptions import SIGTERMException

from datamodules import RolloutDataModule, ranks
from envs import ConfigurationError, MetaEnvSpec
from envs.errors import NonFiniteError, SimulationError
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.checkpoints import (
    Interrupted,
)
from lit_metarl.command_line import ConciseParser, MetaRLCLI
from lit_metarl.command_line.messages import tell
from lit_metarl.command_line.mistakes import Mistake
from lit_metarl.command_line.next_steps import program, short
from lit_metarl.optim.averaged_gradients import register
from lit_metarl.whole_files import NotWritten

CLI = TypeVar("CLI", bound=MetaRLCLI)


def _report(error: BaseException) -> None:
    """Print what went wrong. Before the ranks are connected, all of them see the same mistake."""
    if ranks.world_size() > 1:
        print(f"error on rank {ranks.rank()}: {error}", file=sys.stderr)
    else:
        tell(f"error: {error}")


def _as_message(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    return f"warning: {message}\n"


def _quiet_libraries() -> None:
    """Silence library messages that a user can do nothing about."""
    os.environ.setdefault("RL_LOGGING_LEVEL", "WARNING")  # torchrl is imported when it is needed
    for name in ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.formatwarning = _as_message  # where a library's code warns says nothing to a user
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*is smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty.*")
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")  # what is logged covers all ranks already
    warnings.filterwarnings("ignore", message=".*args parameter is intended to run from within Python.*")


def _print_in_any_encoding() -> None:
    """Replace characters that the encoding of standard output lacks, such as a formula's γ, instead of failing."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _how_to_resume(args: list[str], checkpoint: Path) -> str:
    """The command that resumes from `checkpoint`, with the rest of `args` unchanged."""
    kept: list[str] = []
    given = iter(args)
    for argument in given:
        if argument == "--ckpt_path":
            next(given, None)
        elif not argument.startswith("--ckpt_path="):
            kept.append(argument)
    return shlex.join([*program(), *kept, "--ckpt_path", short(checkpoint)])


def command_line(kind: type[CLI], args: list[str] | None) -> CLI:
    """Create a command line, which runs its arguments at once.

    Args:
        kind: its class.
        args: of the program; None for its own.
    """
    _quiet_libraries()
    register()
    set_parsing_settings(subclasses_enabled=[MetaEnvSpec])  # one linked value, not a group of options
    return kind(
        MetaRLModule,
        RolloutDataModule,
        subclass_mode_model=True,
        auto_configure_optimizers=False,
        parser_class=ConciseParser,
        parser_kwargs={
            "prog": shlex.join(program()),
            "description": "Train and evaluate agents that adapt to new tasks.",
        },
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


class ParsingOnly(MetaRLCLI):
    """Parses a command and checks its configuration, without running it."""

    def before_instantiate_classes(self) -> None:
        """Nothing."""

    def instantiate_classes(self) -> None:
        """Nothing."""

    def after_instantiate_classes(self) -> None:
        """Nothing."""

    def _set_seed(self) -> None:
        """Nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Nothing."""


class Check:
    """Finds mistakes in the configurations of commands without running them; all commands share one parser."""

    def __init__(self) -> None:
        self._parsing: ParsingOnly | None = None

    def __call__(self, args: list[str]) -> str | None:
        """What is wrong with a command, as `main` would report it; None if its configuration can be parsed.

        Args:
            args: of the command.
        """
        try:
            if self._parsing is None:
                self._parsing = command_line(ParsingOnly, args)
            else:
                self._parsing.parse_arguments(self._parsing.parser, args)
        except (ConfigurationError, MisconfigurationException, Mistake) as error:
            return str(error)
        except SystemExit:  # of --help and --print_config
            return "it only prints, and runs nothing"
        return None


def main(args: list[str] | None = None) -> int:
    """Run the command line; the exit status.

    0 for success, 2 for a mistake of the user, 130 or 143 if a signal stopped the run, 1 for any other error.
    """
    _print_in_any_encoding()
    try:
        command_line(MetaRLCLI, args)
    except (ConfigurationError, MisconfigurationException, Mistake) as error:  # ours, Lightning's, and the parser's
        _report(error)
        return 2
    except (NonFiniteError, SimulationError, NotWritten, ranks.FailedElsewhere) as error:
        _report(error)
        return 1
    except Interrupted as stop:
        if ranks.rank() > 0:
            return 0  # Lightning kills rank 0 if another rank fails, and rank 0 prints the command
        command = _how_to_resume(sys.argv[1:] if args is None else args, stop.checkpoint)
        print(f"Stopped by {signal.Signals(stop.number).name}; everything is saved. To resume:\n  {command}")
        return 128 + stop.number
    except SIGTERMException:  # outside training, when there is nothing to save
        return 128 + signal.SIGTERM
    except SystemExit as leaving:
        if isinstance(leaving.__context__, KeyboardInterrupt):  # how Lightning exits
            return 128 + signal.SIGINT
        raise
    return 0
