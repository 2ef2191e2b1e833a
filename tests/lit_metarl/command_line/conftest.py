"""What the tests of the command line share: commands that are only parsed, and runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lightning_fabric.utilities.exceptions import MisconfigurationException
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from envs import ConfigurationError
from lit_metarl.cli import ParsingOnly, command_line
from lit_metarl.command_line.arguments import SUBCOMMANDS
from tests.conftest import CONFIGS

Run = Callable[..., int]
PRESET = f"--config={CONFIGS / 'point_robot.yaml'}"
EARLY_STOPPING = "--trainer.callbacks+=pytorch_lightning.callbacks.EarlyStopping"
IN_TRAINING = "--trainer.callbacks.monitor=train/kl"
IN_VALIDATION = "--trainer.callbacks.monitor=val/return"


@dataclass(frozen=True)
class Parsed:
    """What became of a command.

    Attributes:
        config: its subcommand's configuration; None if it is refused.
        refusal: the message.
        said: what was written on stderr.
    """

    config: Any
    refusal: str
    said: str


class OfEverySubcommand(ParsingOnly):
    """Declares the options of every subcommand, not only of the first that it parses."""

    def _prepare_subcommand_parser(self, *args: Any, **kwargs: Any) -> Any:
        self._wanted = set(SUBCOMMANDS)
        return super()._prepare_subcommand_parser(*args, **kwargs)


@pytest.fixture(scope="session")
def parsing() -> ParsingOnly:
    """A parser of all subcommands for all tests."""
    return command_line(OfEverySubcommand, ["fit", PRESET])


@pytest.fixture
def parse(parsing: ParsingOnly, capsys: pytest.CaptureFixture[str]) -> Callable[..., Parsed]:
    """Parse a command, whose mistakes are those that the program answers with status 2."""

    def parsed(*arguments: str) -> Parsed:
        capsys.readouterr()
        try:
            parsing.parse_arguments(parsing.parser, list(arguments))
        except (ConfigurationError, MisconfigurationException) as error:
            return Parsed(None, str(error), capsys.readouterr().err)
        return Parsed(parsing.config[parsing.config.subcommand], "", capsys.readouterr().err)

    return parsed


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write a configuration file; the argument that names it."""
    number = 0

    def written(content: str | bytes) -> str:
        nonlocal number
        number += 1
        path = tmp_path / f"file_{number}.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return f"--config={path}"

    return written


def scalars(tmp_path: Path, version: int = 0) -> EventAccumulator:
    """What a run logged."""
    events = EventAccumulator(str(tmp_path / "runs" / f"version_{version}"))
    events.Reload()
    return events


def refused(run: Callable[[], int], capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a run that must be refused with status 2 and no traceback."""
    try:
        status = run()
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    message = capsys.readouterr().err
    assert status == 2
    assert "Traceback" not in message
    return message
