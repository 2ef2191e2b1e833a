"""Synthetic rows in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from tests.lit_metarl.report.synthetic_rows import write_synthetic


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the files of figures empty, for tests of what a report says: to draw them takes most of its time."""
    monkeypatch.setattr(Figure, "savefig", lambda *given, **more: None)


@pytest.fixture
def rows(tmp_path: Path, undrawn: None) -> Path:
    """A folder with the rows of two experiments, one of them with too few seeds for an interval; figures stay empty."""
    write_synthetic(tmp_path / "rows")
    return tmp_path / "rows"
