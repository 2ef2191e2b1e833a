"""Synthetic rows in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lit_metarl.report.synthetic_rows import write_synthetic


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A folder with the rows of two experiments, one of them with too few seeds for an interval."""
    write_synthetic(tmp_path / "rows")
    return tmp_path / "rows"
