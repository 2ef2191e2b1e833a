"""`test` evaluates a checkpoint on the test tasks, and refuses what is no checkpoint of this configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.lit_metarl.command_line.conftest import Run, refused


def test_the_test_subcommand_reproduces_the_table_from_the_best_checkpoint(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_tiny("fit")
    after = _last_column(capsys.readouterr().out)
    checkpoint = next((tmp_path / "runs").glob("version_*/checkpoints/best.ckpt"))
    assert run_tiny("test", f"--ckpt_path={checkpoint}") == 0
    assert _last_column(capsys.readouterr().out) == after


def _last_column(printed: str) -> dict[str, str]:
    rows = [line.split("│") for line in printed.splitlines() if "test/" in line]
    return {row[1].strip(): row[-2].strip() for row in rows}


def test_an_untrained_agent_is_tested_with_a_warning(run_tiny: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tiny("test") == 0
    assert "untrained" in capsys.readouterr().err


def test_a_checkpoint_of_other_networks_is_refused_with_the_first_difference(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_tiny("fit", "--trainer.max_epochs=1")
    checkpoint = next((tmp_path / "runs").glob("version_0/checkpoints/*.ckpt"))
    capsys.readouterr()
    message = refused(lambda: run_tiny("test", "--model.init_args.latent_dim=3", f"--ckpt_path={checkpoint}"), capsys)
    assert "ckpt_path" in message
    assert "there, [" in message
    assert "config.yaml" in message


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 truncated"])
def test_an_unreadable_checkpoint_is_refused(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    path = tmp_path / "broken.ckpt"
    path.write_bytes(content)
    assert "broken.ckpt" in refused(lambda: run_tiny("test", f"--ckpt_path={path}"), capsys)


def test_a_checkpoint_that_carries_code_is_refused(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "code.ckpt"
    torch.save({"state_dict": {}, "payload": Path}, path)
    assert "code.ckpt" in refused(lambda: run_tiny("test", f"--ckpt_path={path}"), capsys)
