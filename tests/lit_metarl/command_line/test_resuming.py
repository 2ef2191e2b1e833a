"""`fit --ckpt_path` resumes from a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

from envs import ConfigurationError
from lit_metarl.command_line.given_checkpoint import find_checkpoint
from tests.lit_metarl.command_line.conftest import Run, refused, scalars
from tests.lit_metarl.test_steps import Recorder
from tests.tiny import tiny_trainer


def test_an_on_policy_run_resumes_from_its_last_checkpoint_and_can_be_tested(
    run_tiny: Run, configs: Path, tmp_path: Path
) -> None:
    algorithm = f"--config={configs}/algorithm/varibad.yaml"
    run_tiny("fit", algorithm)
    checkpoint = next((tmp_path / "runs").glob("version_0/checkpoints/last.ckpt"))
    assert run_tiny("test", algorithm, f"--ckpt_path={checkpoint}") == 0
    assert run_tiny("fit", algorithm, f"--ckpt_path={checkpoint}", "--trainer.max_epochs=3") == 0
    continued = torch.load(next((tmp_path / "runs").glob("version_*/checkpoints/last.ckpt")), weights_only=True)
    moments = [name for name in continued["state_dict"] if "moments" in name]
    assert {"input_moments.mean", "return_moments.variance"} <= set(moments)


def test_a_run_resumes_from_its_last_checkpoint(run_tiny: Run, tmp_path: Path) -> None:
    run_tiny("fit")
    checkpoint = next((tmp_path / "runs").glob("version_0/checkpoints/last.ckpt"))
    assert run_tiny("fit", f"--ckpt_path={checkpoint}", "--trainer.max_epochs=3") == 0
    continued = torch.load(next((tmp_path / "runs").glob("version_1/checkpoints/last.ckpt")), weights_only=True)
    assert continued["epoch"] == 2


def test_a_run_that_has_ended_is_not_resumed_for_fewer_epochs(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_tiny("fit", "--trainer.max_epochs=3")
    last = tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    capsys.readouterr()
    message = refused(lambda: run_tiny("fit", "--trainer.max_epochs=1", f"--ckpt_path={last}"), capsys)
    assert "it is of epoch 3, and the run ends after trainer.max_epochs = 1" in message
    assert "--trainer.max_epochs 6" in message
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["version_0"]


def test_under_slurm_the_checkpoint_of_another_configuration_is_not_taken_for_that_of_this_job(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    requeued = ["--last_checkpoint.filename=hpc_ckpt_1", f"--last_checkpoint.dirpath={tmp_path}"]
    run_tiny("fit", "--trainer.max_epochs=1", *requeued)
    monkeypatch.setattr(SLURMEnvironment, "detect", lambda: True)
    monkeypatch.setattr(SLURMEnvironment, "creates_processes_externally", False)
    here = f"--trainer.default_root_dir={tmp_path}"
    assert "seed_everything was 1 and is 2" in refused(lambda: run_tiny("fit", here, "--seed_everything=2"), capsys)
    assert run_tiny("fit", here, "--trainer.plugins=LightningEnvironment") == 0
    assert torch.load(tmp_path / "runs/version_1/checkpoints/last.ckpt", weights_only=True)["epoch"] == 1
    steps = [event.step for event in scalars(tmp_path, version=1).Scalars("val/return")]
    assert steps == [4 * 1 * 20 + 2 * 2 * 3 * 20]


def test_a_checkpoint_that_a_configuration_file_names_is_told_of(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_tiny("fit", "--trainer.max_epochs=1")
    last = tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    run_tiny("fit", f"--ckpt_path={last}")
    capsys.readouterr()
    run_tiny("test", f"--config={tmp_path}/runs/version_1/config.yaml")
    assert f"ckpt_path = {last} is from a configuration file (--ckpt_path=null" in capsys.readouterr().err


def test_last_is_refused_where_it_is_not_known_where_a_logger_keeps_its_runs(tmp_path: Path) -> None:
    trainer = tiny_trainer(logger=Recorder())
    with pytest.raises(ConfigurationError, match="ckpt_path = 'last' .* earlier runs of Recorder"):
        find_checkpoint("last", trainer, tmp_path, None)
    assert find_checkpoint("last", trainer, tmp_path, str(tmp_path)) is None


def test_a_run_resumes_from_the_checkpoint_of_a_requeued_job_if_it_has_this_configuration(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    requeued = ["--last_checkpoint.filename=hpc_ckpt_1", f"--last_checkpoint.dirpath={tmp_path}"]
    run_tiny("fit", "--trainer.max_epochs=1", *requeued)
    go_on = ["--ckpt_path=hpc", f"--trainer.default_root_dir={tmp_path}"]
    assert "model.init_args.kl_weight" in refused(
        lambda: run_tiny("fit", *go_on, "--model.init_args.kl_weight=0.5"), capsys
    )
    assert run_tiny("fit", *go_on) == 0
    steps = [event.step for event in scalars(tmp_path, version=1).Scalars("val/return")]
    assert steps == [4 * 1 * 20 + 2 * 2 * 3 * 20]
