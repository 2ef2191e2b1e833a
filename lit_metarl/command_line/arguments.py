"""The options of the command line, apart from those that the parts of a run declare themselves."""

from __future__ import annotations

import sys
from argparse import SUPPRESS
from importlib import metadata
from typing import Any, Literal

from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities import LightningEnum

from lit_metarl.callbacks import TensorBoardFigures
from lit_metarl.checkpoints import LAST, LastCheckpoint, RunCheckpoint
from lit_metarl.command_line.layers import LayeredFile

SUBCOMMANDS = {
    "fit": "Train, then compare the best checkpoint with the untrained agent on the test tasks.",
    "validate": "Evaluate a checkpoint on the validation tasks.",
    "test": "Evaluate a checkpoint on the test tasks.",
    "predict": "Run trials with a checkpoint, on tasks of your choice, and save or film them.",
}


# Options of the other subcommands, fixed to their defaults, so that any config.yaml can be given to any subcommand.
ELSEWHERE: dict[str, dict[str, bool | None]] = {
    "fit": {"verbose": False, "tasks": None, "video": False},
    "validate": {"tasks": None, "video": False},
    "test": {"tasks": None, "video": False},
    "predict": {"verbose": False},
}


class ArgumentsCLI(LightningCLI):
    """Declares the options of `fit`, `validate`, `test` and `predict`, and links those that share one value."""

    def __init__(self, *classes: Any, args: list[str] | None = None, **settings: Any) -> None:
        self._wanted = _subcommands_wanted(sys.argv[1:] if args is None else args)
        super().__init__(*classes, **{**settings, "args": args})

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """A parser whose configuration files override one another."""
        kwargs.setdefault("dump_header", [f"pytorch_lightning=={metadata.version('pytorch_lightning')}"])
        parser = self.parser_class(**kwargs)
        parser.add_argument("-c", "--config", action=LayeredFile, help="Path to a configuration file.")
        return parser

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The seed of all random streams, and the number of threads."""
        parser.add_argument(
            "--seed_everything",
            type=int,
            default=1,
            help="Seed of the weights and of every random stream of the run.",
        )
        parser.add_argument(
            "--name",
            type=str | None,
            default=None,
            help="Name of the run and of its folder (null: from algorithm, environment, method and seed).",
        )
        parser.add_argument(
            "--threads",
            type=PositiveInt | None,
            default=None,
            help="Threads of the networks on a CPU (null: torch's choice); the physics of an environment has its own.",
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
        # Lightning's own `save_last` leaves the file outdated when a validation brings no improvement.
        parser.add_lightning_class_args(LastCheckpoint, "last_checkpoint")
        parser.set_defaults(
            {
                "last_checkpoint.filename": LAST,
                "last_checkpoint.enable_version_counter": False,
                "last_checkpoint.save_on_train_epoch_end": True,
            }
        )
        parser.add_lightning_class_args(TensorBoardFigures, "figures")
        parser.link_arguments("data.meta_spec", "model.init_args.meta_spec", apply_on="instantiate")
        parser.link_arguments("seed_everything", "data.seed")
        parser.link_arguments("seed_everything", "model.init_args.seed")

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        """Describe the subcommands; Lightning describes the methods of its `Trainer`."""
        super()._add_subcommands(parser, **{name: {"description": text} for name, text in SUBCOMMANDS.items()})
        assert parser._subcommands_action is not None
        for listed in parser._subcommands_action._choices_actions:
            listed.help = SUBCOMMANDS[listed.dest]

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        """The options of one subcommand only, for which Lightning has no hook; none if the command is of another."""
        if subcommand not in self._wanted:
            return self.init_parser(**kwargs)
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser.add_argument(
            "--initial_weights",
            type=str | None,
            default=None,
            help="A checkpoint (.ckpt) whose weights a new run starts from (fine-tuning); nothing else of it is used."
            if subcommand == "fit"
            else SUPPRESS,  # of the run whose config.yaml is given
        )
        use = "to resume from: its path, or 'last' for the newest" if subcommand == "fit" else "to load (its path)"
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
        for option, default in ELSEWHERE[subcommand].items():
            parser.add_argument(f"--{option}", type=Literal[default], default=default, help=SUPPRESS)
        if subcommand == "predict":
            parser.add_argument(
                "--tasks",
                type=list[list[float]] | None,
                default=None,
                help='Tasks to run trials on, such as "[[0.5],[2.5]]" (null: the test tasks).',
            )
            parser.add_argument(
                "--video", action="store_true", help="Film the trial on each of the tasks, as an mp4 file."
            )
        return parser


def _subcommands_wanted(arguments: list[str]) -> set[str]:
    """The subcommands whose options are needed to answer a command; to declare those of all would take long."""
    if arguments and arguments[0] in SUBCOMMANDS:
        return {arguments[0]}
    return set() if set(arguments) <= {"-h", "--help"} else set(SUBCOMMANDS)


def spell_out(part: Any) -> None:
    """Replace Lightning's enumerations in a part of a configuration by text, because YAML cannot hold them.

    One is the default of an argument typed as text: the interval of `Timer`.
    """
    if isinstance(part, Namespace):
        for name, value in vars(part).items():
            if isinstance(value, LightningEnum):
                part[name] = value.value
            spell_out(value)
    elif isinstance(part, list):
        for member in part:
            spell_out(member)
