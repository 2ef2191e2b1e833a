"""Batches that are stopped or killed, and continued; every process is a real one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import yaml

from lit_metarl.batch.__main__ import main
from tests.conftest import CONFIGS, TINY
from tests.lit_metarl.batch.processes import batch, processes_of, wait_until

SIZES = [argument for argument in TINY if not argument.startswith(("--trainer.max_epochs", "--trainer.check_val"))]
SIZES += ["--model.init_args.layers=[8]", "--model.init_args.encoder_layers=[8]"]
LIMITS = ["--trainer.max_epochs=10000", "--trainer.check_val_every_n_epoch=10000"]


def write_batch(folder: Path, *arguments: str, **changed: float) -> str:
    """A batch file of one tiny run with a checkpoint after every epoch."""
    one = {
        "configs": [str(CONFIGS / "point_robot.yaml"), "relabel/random"],
        "methods": {"half": {"data.relabeler.init_args.probability": 0.5, **changed}},
        "seeds": [1],
        "arguments": [*SIZES, *LIMITS, *arguments],
    }
    path = folder / "batch.yaml"
    path.write_text(yaml.safe_dump({"folder": str(folder / "runs"), "experiments": {"point": one}}))
    return str(path)


def trains(folder: Path) -> bool:
    """Whether the run of the batch has a checkpoint."""
    return any(folder.glob("runs/point/half/seed_1/version_*/checkpoints/last.ckpt"))


def test_a_signal_has_jobs_save_before_the_batch_ends_and_they_go_on_under_their_own_settings_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, said, run = write_batch(tmp_path), tmp_path / "said", tmp_path / "runs" / "point" / "half" / "seed_1"
    process = batch(path, said, "--cluster=local")
    wait_until(lambda: trains(tmp_path) or process.poll() is not None)
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM, said.read_text()
    assert processes_of(tmp_path / "runs") == []
    assert "Stopped by SIGTERM; everything is saved" in (run / "run.log").read_text()
    assert "starts afresh" not in (run / "run.log").read_text()
    lines = said.read_text().splitlines()
    assert lines[1] == f"started  {run}"
    assert lines[-2:] == [f"stopped  {run}", "stopped by SIGTERM; give the same command to continue"]
    assert main([f"--config={path}", "--list"]) == 0
    assert capsys.readouterr().out == f"interrupted {run}\n"
    assert main([f"--config={write_batch(tmp_path, **{'data.relabeler.init_args.probability': 0.25})}"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {run} was interrupted, with other settings: data.relabeler.init_args.probability was 0.5 and is "
        "0.25. Remove its folder, or restore the setting."
    )


def test_after_a_crash_the_same_command_continues_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, said, run = write_batch(tmp_path), tmp_path / "said", tmp_path / "runs" / "point" / "half" / "seed_1"
    process = batch(path, said)
    wait_until(lambda: trains(tmp_path))
    assert main([f"--config={path}", "--list"]) == 0
    assert capsys.readouterr().out.startswith(f"claimed     {run} (process ")
    for pid in (process.pid, *processes_of(tmp_path / "runs")):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    process = batch(path, said)
    wait_until(lambda: "Resuming from" in (run / "run.log").read_text())  # a claim of another machine is void in 120 s
    assert "waiting" not in said.read_text()
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM


def test_what_a_batch_waits_for_is_told_and_a_signal_ends_it_quietly(tmp_path: Path) -> None:
    run, said = tmp_path / "runs" / "point" / "half" / "seed_1", tmp_path / "said"
    (run / "claims").mkdir(parents=True)
    (run / "claims" / "1").write_text("process 7 on elsewhere, since noon\n")
    process = batch(write_batch(tmp_path), said)
    wait_until(lambda: "waiting" in said.read_text())
    assert f"waiting  {run} (claimed by process 7 on elsewhere, since noon; taken over if" in said.read_text()
    assert "for 120 s" in said.read_text()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert (run / "run.log").read_text() == ""
