"""The examples of docs/python.md run, in order, with a small budget."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.docs.conftest import python_on

EXAMPLES = python_on("python.md")
BUDGET = {"max_epochs": 1, "meta_steps": 3, "task_slots": 8}


def small(code: str) -> str:
    """`code` with less to train."""
    for name, number in BUDGET.items():
        code = re.sub(rf"\b{name}=\d+", f"{name}={number}", code)
    return code


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for what the examples write."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_agent_is_trained_saved_loaded_and_acts(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    exec(small(EXAMPLES[0]), names)
    printed = capsys.readouterr().out
    assert "environment_steps" in printed
    assert "task/goal_x" in printed
    assert (here / "point_robot.ckpt").is_file()
    assert not names["trial"].running.any()  # type: ignore[attr-defined]
    exec(EXAMPLES[1], {})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["1", "2", "3"]


def test_the_first_example_has_at_most_fifteen_statements() -> None:
    statements = [node for node in ast.walk(ast.parse(EXAMPLES[0])) if isinstance(node, ast.stmt)]
    imports = [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
    assert len(statements) - len(imports) <= 15


@pytest.mark.parametrize("number", range(2, len(EXAMPLES)))
def test_another_example_runs(number: int) -> None:
    exec(EXAMPLES[number], {})
