"""Runs that several tests compare with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lit_metarl.checkpoints.runs import train

RunFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The folder of a run that was left alone, by name and number of ranks; made once."""
    made: dict[tuple[str, int], Path] = {}

    def run(name: str, number: int = 1) -> Path:
        if (name, number) not in made:
            folder = tmp_path_factory.mktemp(name)
            assert train(name, folder, number=number) == [0] * number
            made[name, number] = folder
        return made[name, number]

    return run


@pytest.fixture
def finished(uninterrupted: RunFolder, tmp_path: Path) -> Path:
    """A copy of the folder of a PEARL run that is over."""
    return shutil.copytree(uninterrupted("PEARL"), tmp_path / "finished")
