"""Runs that several tests compare with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lit_metarl import cli
from tests.lit_metarl.checkpoints.runs import arguments

RunFolder = Callable[[str], Path]


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The folder of a run that was left alone, by name; made once."""
    made: dict[str, Path] = {}

    def run(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            assert cli.main(arguments(name, folder)) == 0
            made[name] = folder
        return made[name]

    return run


@pytest.fixture
def finished(uninterrupted: RunFolder, tmp_path: Path) -> Path:
    """A copy of the folder of a PEARL run that is over."""
    return shutil.copytree(uninterrupted("PEARL"), tmp_path / "finished")
