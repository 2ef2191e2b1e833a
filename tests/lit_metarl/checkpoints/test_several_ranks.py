"""Several ranks train one agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_metarl import cli
from lit_metarl.command_line import subcommands
from tests.conftest import CONFIGS, TINY
from tests.lit_metarl.checkpoints.conftest import RunFolder
from tests.lit_metarl.checkpoints.runs import RUNS, arguments, assert_same, checkpoint_of, records, results_of
from tests.ranks import in_ranks


@pytest.mark.parametrize("name", RUNS)
def test_two_ranks_are_equal_after_every_iteration_but_for_their_tasks(uninterrupted: RunFolder, name: str) -> None:
    first, second = (records(uninterrupted(name, 2), rank) for rank in range(2))
    assert len(first) == len(second) == 6
    for one, other in zip(first, second):
        for key in ("weights", "task_sampler", "environment_steps"):
            assert_same(one[key], other[key], key)
        assert one["tasks"].shape == other["tasks"].shape
        assert not bool((one["tasks"][:, None] == other["tasks"]).all(-1).any())
    sampler = first[-1]["task_sampler"]
    assert (sampler["predictor"]["updates"] if "predictor" in sampler else sampler["rounds"]) >= 2
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
    monkeypatch.setattr(subcommands, "print_results", lambda columns, title: shown.append(columns["test"]))
    fit = arguments("PEARL", tmp_path, f"--ckpt_path={checkpoint_of(folder, name='best')}")
    assert cli.main(["test", *fit[1:]]) == 0
    assert shown[0] == json.loads(results_of(folder))["after"]


def test_ranks_share_a_fixed_set_of_tasks_and_learn_one_reward_model(tmp_path: Path) -> None:
    parts = ("relabel/hfr.yaml", "relabel/learned_reward.yaml", "robust/fixed.yaml")
    more = [f"--config={CONFIGS / part}" for part in parts]
    sizes = ["--data.reward_model.init_args.gradient_steps=2", "--trainer.max_epochs=1", "--trainer.devices=2"]
    place = f"--trainer.logger.init_args.save_dir={tmp_path}"
    command = ["fit", f"--config={CONFIGS / 'point_robot.yaml'}", *more, *TINY, *sizes, place]
    assert in_ranks(lambda rank: cli.main(command)) == [0, 0]
    data = torch.load(checkpoint_of(tmp_path), weights_only=True)["RolloutDataModule"]
    first, second = data["experience"], data["other_ranks"][0]["experience"]
    assert first["replay"]["tasks"].shape == (4, 2)
    assert torch.equal(first["replay"]["tasks"], second["replay"]["tasks"])
    assert_same(first["reward_model"]["network"], second["reward_model"]["network"])
    assert not torch.equal(first["reward_model"]["generator"], second["reward_model"]["generator"])
    initial = 4 * 20  # one episode for every task, whichever rank collected it
    assert data["environment_steps"] == initial + 2 * 3 * 20


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
