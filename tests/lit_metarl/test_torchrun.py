"""Processes that `torchrun` starts find each other and train one agent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch

from tests.conftest import CONFIGS, TINY


def test_two_processes_of_torchrun_meet_and_make_one_run(tmp_path: Path) -> None:
    meeting = ["--nnodes=1", "--nproc_per_node=2", "--rdzv_backend=c10d", "--rdzv_endpoint=127.0.0.1:0"]
    command = [sys.executable, "-m", "torch.distributed.run", *meeting, str(CONFIGS.parent / "train.py")]
    given = [f"--config={CONFIGS / 'point_robot.yaml'}", *TINY, "--trainer.max_epochs=1", "--trainer.devices=2"]
    place = f"--trainer.logger.init_args.save_dir={tmp_path}"
    done = subprocess.run([*command, "fit", *given, place], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (run,) = tmp_path.glob("version_*")
    assert "test/return" in json.loads((run / "results.json").read_text())["after"]
    data = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["RolloutDataModule"]
    assert len(data["other_ranks"]) == 1
    assert {path.name for path in (run / "checkpoints" / "replay").glob("rank_*")} == {"rank_0", "rank_1"}
