"""`fit --initial_weights` starts a new run from the weights of another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lit_metarl import cli
from lit_metarl.configuration_hash import configuration_hash
from tests.lit_metarl.command_line.conftest import Run, refused

ELSEWHERE = "--data.env=envs.SparsePointRobot"
"""Another distribution of tasks, and other rewards, in an environment of the same sizes."""


@pytest.fixture
def checkpoint(run_tiny: Run, tmp_path: Path) -> Path:
    """The last one of a short run."""
    assert run_tiny("fit", "--trainer.max_epochs=1") == 0
    return tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """The weights that each test before training saw."""
    seen: list[dict[str, torch.Tensor]] = []
    test = cli.MetaRLCLI.fit.__globals__["subcommands"].Run.test

    def recorded(run: Any, given: str | None, tested: str) -> Any:
        if given is None:
            seen.append({name: weight.clone() for name, weight in run.model.state_dict().items()})
        return test(run, given, tested)

    monkeypatch.setattr("lit_metarl.command_line.run.Run.test", recorded)
    return seen


def test_a_run_on_other_tasks_starts_from_a_checkpoints_weights_and_from_nothing_else_of_it(
    run_tiny: Run, tmp_path: Path, checkpoint: Path, started: list[dict[str, torch.Tensor]]
) -> None:
    assert run_tiny("fit", ELSEWHERE, f"--initial_weights={checkpoint}", "--seed_everything=5") == 0
    saved = torch.load(checkpoint, weights_only=True)
    assert all(torch.equal(weight, saved["state_dict"][name]) for name, weight in started[0].items())
    tuned = torch.load(tmp_path / "runs" / "version_1" / "checkpoints" / "last.ckpt", weights_only=True)
    assert tuned["global_step"] == 6  # of its own two epochs
    assert tuned["RolloutDataModule"]["environment_steps"] == 4 * 20 + 2 * 2 * 3 * 20


def test_other_settings_than_sizes_may_change(run_tiny: Run, checkpoint: Path) -> None:
    changed = ["--model.init_args.kl_weight=0.5", "--data.task_slots=5", "--model.init_args.optimizer.kind=adamw"]
    assert run_tiny("fit", f"--initial_weights={checkpoint}", *changed, "--trainer.max_epochs=1") == 0


def test_the_refusal_of_a_changed_resume_names_it(
    run_tiny: Run, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(lambda: run_tiny("fit", ELSEWHERE, f"--ckpt_path={checkpoint}"), capsys)
    assert "data.env.class_path was 'envs.PointRobot' and is 'envs.SparsePointRobot'" in message
    assert f"--initial_weights {checkpoint} starts a new run from its weights" in message


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--data.env=envs.HalfCheetahVel"], "observation_dim is 2 there, 20 here, action_dim is 2 there, 6 here"),
        (["--model.init_args.layers=[7]"], "critics.0.0.weight is [64, 9] there, [7, 9] here"),
        (["--model.init_args.network.normalization=none"], "critics.0.1.bias is [64] there, missing here"),
        (
            ["--model=lit_metarl.algorithms.RL2", "--data.relabeler=datamodules.relabeling.NoRelabeler"],
            "it is of PEARL, not RL2",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_their_sizes(
    run_tiny: Run, checkpoint: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    message = refused(lambda: run_tiny("fit", f"--initial_weights={checkpoint}", *arguments), capsys)
    assert f"initial_weights = '{checkpoint}' is not usable" in message
    assert named in message
    assert message.count("error:") == 1


def test_a_file_that_is_no_checkpoint_is_refused(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there is no such file" in refused(lambda: run_tiny("fit", f"--initial_weights={tmp_path}/no.ckpt"), capsys)


def test_with_last_a_run_starts_from_the_weights_once_and_then_goes_on(
    run_tiny: Run, tmp_path: Path, checkpoint: Path, started: list[dict[str, torch.Tensor]]
) -> None:
    again = [
        ELSEWHERE,
        f"--initial_weights={checkpoint}",
        "--ckpt_path=last",
        f"--trainer.logger.init_args.save_dir={tmp_path / 'tuned'}",
    ]
    assert run_tiny("fit", *again, "--trainer.max_epochs=1") == 0
    assert len(started) == 1
    checkpoint.unlink()  # it is not needed any more
    assert run_tiny("fit", *again) == 0
    assert len(started) == 1
    finished = torch.load(tmp_path / "tuned" / "version_1" / "checkpoints" / "last.ckpt", weights_only=True)
    assert finished["global_step"] == 6


def test_a_run_cannot_be_resumed_with_weights_that_it_did_not_start_from(
    run_tiny: Run, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [f"--initial_weights={checkpoint}", f"--ckpt_path={checkpoint}"]
    message = refused(lambda: run_tiny("fit", *both), capsys)
    assert f"initial_weights was None and is '{checkpoint}'" in message


def test_the_configuration_of_a_fine_tuned_run_can_be_given_to_test(
    run_tiny: Run, tmp_path: Path, checkpoint: Path
) -> None:
    assert run_tiny("fit", ELSEWHERE, f"--initial_weights={checkpoint}", "--trainer.max_epochs=1") == 0
    folder = tmp_path / "runs" / "version_1"
    given = ["test", f"--config={folder}/config.yaml", f"--ckpt_path={folder}/checkpoints/best.ckpt"]
    assert cli.main([*given, f"--trainer.logger.init_args.save_dir={tmp_path / 'tests'}"]) == 0


def test_fine_tuned_runs_share_a_hash_whatever_checkpoint_each_seed_starts_from() -> None:
    plain: dict[str, Any] = {"model": "A", "trainer": {}, "data": {}}
    first, second = ({**plain, "initial_weights": f"seed_{seed}/last.ckpt"} for seed in (1, 2))
    assert configuration_hash(first) == configuration_hash(second)
    assert configuration_hash({**plain, "initial_weights": None}) == configuration_hash(plain)
    assert configuration_hash(first) != configuration_hash(plain)
