"""A signal stops a run between two steps, and what it saved goes on from there."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules import RolloutDataModule
from lit_metarl import cli
from lit_metarl.checkpoints import whole
from lit_metarl.checkpoints.interruption import StopRequest
from tests.lit_metarl.checkpoints.conftest import RunFolder
from tests.lit_metarl.checkpoints.runs import (
    arguments,
    assert_same_run,
    checkpoint_of,
    in_child,
    scalars,
)
from tests.ranks import in_ranks


def signal_at_batch(number: int, which: int) -> None:
    """Send this process a signal when the batch with a number (of the run) is asked for."""
    drawn = 0
    run_epoch = RolloutDataModule.run_epoch

    def watched(data: RolloutDataModule) -> Iterator[Any]:
        nonlocal drawn
        for batch in run_epoch(data):
            drawn += 1
            if drawn == number:
                os.kill(os.getpid(), which)
            yield batch

    RolloutDataModule.run_epoch = watched  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("name", "batch", "which", "status"),
    [("PEARL", 8, signal.SIGTERM, 143), ("PEARL", 12, signal.SIGINT, 130), ("VariBAD", 5, signal.SIGINT, 130)],
)
def test_a_signal_saves_after_the_step_and_the_run_goes_on_exactly(
    uninterrupted: RunFolder,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    name: str,
    batch: int,
    which: int,
    status: int,
) -> None:
    whole, broken = uninterrupted(name), tmp_path

    def train() -> int:
        signal_at_batch(batch, which)
        return cli.main(arguments(name, broken))

    capfd.readouterr()
    assert in_child(train) == status
    last = checkpoint_of(broken)
    (told,) = (line for line in capfd.readouterr().out.splitlines() if "--ckpt_path" in line)
    assert shlex.split(told)[1:] == ["train.py", *arguments(name, broken), "--ckpt_path", str(last)]
    state = torch.load(last, weights_only=True)
    assert state["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["processed"] == batch
    assert cli.main(arguments(name, broken, f"--ckpt_path={last}")) == 0
    assert_same_run(checkpoint_of(whole), checkpoint_of(broken, version=1))
    assert scalars(broken) == scalars(whole)


def test_a_signal_to_one_rank_stops_all_after_the_same_step(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def train(rank: int) -> int:
        if rank == 1:
            signal_at_batch(5, signal.SIGTERM)
        return cli.main(arguments("PEARL", tmp_path, "--trainer.devices=2"))

    assert in_ranks(train) == [143, 0]  # rank 0 tells
    assert capfd.readouterr().out.count("--ckpt_path") == 1
    state = torch.load(checkpoint_of(tmp_path), weights_only=True)
    assert state["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["processed"] == 5
    assert whole(checkpoint_of(tmp_path)).ranks == 2


def test_a_second_signal_stops_at_once() -> None:
    def wait() -> int:
        StopRequest().listen()
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        return 0

    child = multiprocessing.get_context("fork").Process(target=wait)
    child.start()
    child.join(20)
    assert child.exitcode == -signal.SIGTERM


def test_slurm_requeues_a_run_that_goes_on_exactly(
    uninterrupted: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/requeued\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    job = {"JOB_ID": "7", "JOB_NAME": "run", "NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0", "NNODES": "1"}
    for name, value in {**job, "JOB_NODELIST": "localhost", "NTASKS_PER_NODE": "1"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    command = arguments("PEARL", tmp_path / "runs", f"--trainer.default_root_dir={tmp_path}")

    def train() -> int:
        signal_at_batch(8, signal.SIGUSR1)
        return cli.main([*command, "--trainer.max_epochs=4"])

    assert in_child(train) == 0
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"
    state = torch.load(tmp_path / "hpc_ckpt_1.ckpt", weights_only=True)
    assert state["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["processed"] == 8
    assert in_child(lambda: cli.main(command)) == 0
    assert_same_run(checkpoint_of(uninterrupted("PEARL")), checkpoint_of(tmp_path / "runs", version=1))
