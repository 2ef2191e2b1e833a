"""A run that was killed goes on as if nothing had happened."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from lit_metarl import cli
from lit_metarl.checkpoints import LastCheckpoint, newest_whole
from tests.lit_metarl.checkpoints.conftest import RunFolder
from tests.lit_metarl.checkpoints.runs import (
    RUNS,
    arguments,
    assert_same_run,
    checkpoint_of,
    in_child,
    killed,
    results_of,
    scalars,
    train,
)


@pytest.mark.parametrize(
    ("name", "number"),
    [*((name, 1) for name in RUNS), ("PEARL", 2), ("VariBAD", 2), ("MAML", 2)],  # RL2's ranks are VariBAD's
)
def test_a_run_killed_at_a_random_moment_resumes_bit_by_bit(
    uninterrupted: RunFolder, tmp_path: Path, name: str, number: int
) -> None:
    whole, broken = uninterrupted(name, number), tmp_path
    killed(name, broken, hash(tmp_path) % 2**32, number=number)
    assert train(name, broken, "--ckpt_path=last", number=number) == [0] * number
    assert_same_run(checkpoint_of(whole), checkpoint_of(broken, version=1))
    expected = scalars(whole)
    assert any(key.startswith(("cem/", "predictor/rank_correlation")) for key, _ in expected)
    assert scalars(broken) == expected
    assert results_of(broken) == results_of(whole)


def test_a_run_with_its_replay_on_disk_is_the_one_in_memory_and_resumes_bit_by_bit(
    uninterrupted: RunFolder, tmp_path: Path
) -> None:
    whole, broken, files = uninterrupted("PEARL"), tmp_path / "broken", tmp_path / "files"
    on_disk = ["--data.replay_storage=disk", f"--data.replay_folder={files}"]
    killed("PEARL", broken, hash(tmp_path) % 2**32, more=on_disk)
    assert list(files.iterdir()) == []
    assert train("PEARL", broken, "--ckpt_path=last", *on_disk) == [0]
    assert_same_run(checkpoint_of(whole), checkpoint_of(broken, version=1))
    assert scalars(broken) == scalars(whole)
    assert results_of(broken) == results_of(whole)
    more = ["--trainer.max_epochs=7"]
    assert train("PEARL", broken, "--ckpt_path=last", *more) == [0]  # a replay may move between disk and memory


def test_a_run_killed_between_its_last_two_checkpoints_ends_with_both(uninterrupted: RunFolder, tmp_path: Path) -> None:
    whole, broken = uninterrupted("VariBAD"), tmp_path

    def train_killed() -> int:
        epoch_end, epochs = LastCheckpoint.on_train_epoch_end, itertools.count(1)

        def killed_before(callback: LastCheckpoint, *given: Any) -> None:
            if next(epochs) == 6:
                os.kill(os.getpid(), signal.SIGKILL)
            epoch_end(callback, *given)

        LastCheckpoint.on_train_epoch_end = killed_before  # type: ignore[method-assign]
        return cli.main(arguments("VariBAD", broken))

    assert in_child(train_killed) == -signal.SIGKILL
    assert newest_whole(checkpoint_of(broken).parent).checkpoint == checkpoint_of(broken, name="best")
    assert train("VariBAD", broken, "--ckpt_path=last") == [0]
    assert_same_run(checkpoint_of(whole), checkpoint_of(broken, version=1))
    assert scalars(broken) == scalars(whole)
    assert results_of(broken) == results_of(whole)


@pytest.mark.parametrize("first", [6, 8])  # after an epoch without validation, and after one with it
def test_a_run_that_counts_steps_is_resumed_bit_by_bit(uninterrupted: RunFolder, tmp_path: Path, first: int) -> None:
    whole, broken = uninterrupted("VariBAD"), tmp_path
    assert train("VariBAD", broken, f"--trainer.max_steps={first}") == [0]
    assert train("VariBAD", broken, "--ckpt_path=last", "--trainer.max_steps=12") == [0]
    assert_same_run(checkpoint_of(whole), checkpoint_of(broken, version=1))
    tested_between = {key for key in scalars(broken) if key[0].startswith("test/")} - set(scalars(whole))
    assert {key: value for key, value in scalars(broken).items() if key not in tested_between} == scalars(whole)
