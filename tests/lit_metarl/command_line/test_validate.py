"""`validate` evaluates a checkpoint on the validation tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lit_metarl.command_line.conftest import Run


def test_validate_runs_from_a_checkpoint_and_shows_no_progress_of_training(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_tiny("fit")
    assert "epoch    2" in capsys.readouterr().out
    checkpoint = next((tmp_path / "runs").glob("version_*/checkpoints/last.ckpt"))
    assert run_tiny("validate", f"--ckpt_path={checkpoint}") == 0
    assert "epoch" not in capsys.readouterr().out
