"""Several ranks train one agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_metarl import cli
from tests.lit_metarl.checkpoints.conftest import RunFolder
from tests.lit_metarl.checkpoints.runs import RUNS, arguments, assert_same, checkpoint_of, records, results_of


@pytest.mark.parametrize("name", RUNS)
def test_two_ranks_are_equal_after_every_iteration_but_for_their_tasks(uninterrupted: RunFolder, name: str) -> None:
    first, second = (records(uninterrupted(name, 2), rank) for rank in range(2))
    assert len(first) == len(second) == 6
    for one, other in zip(first, second):
        for key in ("weights", "task_sampler", "environment_steps"):
            assert_same(one[key], other[key], key)
        assert one["tasks"].shape == other["tasks"].shape
        assert not bool((one["tasks"][:, None] == other["tasks"]).all(-1).any())
    assert first[-1]["task_sampler"]["rounds"] >= 2
    assert any(
        not torch.equal(old, new) for old, new in zip(first[0]["weights"].values(), first[-1]["weights"].values())
    )


def test_two_ranks_make_the_environment_steps_of_one(uninterrupted: RunFolder) -> None:
    states = [torch.load(checkpoint_of(uninterrupted("PEARL", number)), weights_only=True) for number in (1, 2)]
    steps = [state["RolloutDataModule"]["environment_steps"] for state in states]
    assert steps[0] == steps[1]


def test_two_ranks_evaluate_a_checkpoint_as_one_does(
    uninterrupted: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = uninterrupted("PEARL", 2)
    shown: list[Any] = []
    monkeypatch.setattr(cli, "print_results", lambda columns, title: shown.append(columns["test"]))
    fit = arguments("PEARL", tmp_path, f"--ckpt_path={checkpoint_of(folder, name='best')}")
    assert cli.main(["test", *fit[1:]]) == 0
    assert shown[0] == json.loads(results_of(folder))["after"]


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("--data.collection.tasks_per_iteration=3", "data.collection.tasks_per_iteration = 3 "),
        ("--data.batches.tasks=3", "data.batches.tasks = 3 "),
        ("--data.task_slots=5", "data.task_slots = 5 "),
    ],
)
def test_what_ranks_cannot_share_is_refused_before_the_run_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], argument: str, told: str
) -> None:
    assert cli.main(arguments("PEARL", tmp_path, "--trainer.devices=2", argument)) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "multiple of 2" in error
    assert not list(tmp_path.iterdir())


def test_resuming_with_another_number_of_ranks_is_refused(
    uninterrupted: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = checkpoint_of(uninterrupted("PEARL", 2))
    assert cli.main(arguments("PEARL", tmp_path, f"--ckpt_path={last}")) == 2
    assert "trainer.devices = 1 is not usable: the checkpoint is of a run of 2 processes" in capsys.readouterr().err
