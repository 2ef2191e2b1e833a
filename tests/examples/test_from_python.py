"""The notebook runs from top to bottom, and was saved with its outputs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

NOTEBOOK = Path(__file__).parent.parent.parent / "examples" / "from_python.ipynb"
BUDGET = r"EPOCHS, META_STEPS = \d+, \d+"


def code_cells() -> list[dict[str, Any]]:
    """The notebook's code cells."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_it_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[int] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: shown.extend(plt.get_fignums()))
    names: dict[str, Any] = {}
    for cell in code_cells():
        exec(re.sub(BUDGET, "EPOCHS, META_STEPS = 1, 3", "".join(cell["source"])), names)
    plt.close("all")
    assert names["EPOCHS"] == 1
    assert len(set(shown)) == 3
    assert len(names["learned"]) == 1
    assert (tmp_path / "point_robot.ckpt").is_file()


def test_it_was_executed_from_top_to_bottom() -> None:
    cells = code_cells()
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    figures = [output for cell in cells for output in cell["outputs"] if "image/png" in output.get("data", {})]
    assert len(figures) == 3
