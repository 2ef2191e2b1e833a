"""A run whose learning rates follow a schedule is resumed exactly, too, and only as the same run."""

from __future__ import annotations

from pathlib import Path

import pytest

from lit_metarl import cli
from tests.lit_metarl.checkpoints.runs import arguments, assert_same_run, checkpoint_of, killed, train
from tests.lit_metarl.command_line.conftest import refused

SETTINGS = {
    "PEARL": [
        "--model.init_args.optimizer.schedule=cosine",
        "--model.init_args.optimizer.kind=adamw",
        "--model.init_args.optimizer.weight_decay=0.01",
        "--model.init_args.network.normalization=critics",
        "--model.init_args.network.activation=elu",
    ],
    "VariBAD": ["--model.init_args.ppo.optimizer.schedule=linear", "--model.init_args.elbo.optimizer.schedule=cosine"],
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_with_schedules_killed_at_a_random_moment_resumes_bit_by_bit(name: str, tmp_path: Path) -> None:
    whole, broken, settings = tmp_path / "whole", tmp_path / "broken", SETTINGS[name]
    assert train(name, whole, *settings) == [0]
    killed(name, broken, hash(tmp_path) % 2**32, more=settings)
    assert train(name, broken, *settings, "--ckpt_path=last") == [0]
    assert_same_run(checkpoint_of(whole), checkpoint_of(broken, version=1))


def test_another_schedule_or_length_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = SETTINGS["PEARL"]
    assert train("PEARL", tmp_path, *settings, "--trainer.max_epochs=2") == [0]
    resume = f"--ckpt_path={checkpoint_of(tmp_path)}"

    def resumed(*changed: str) -> str:
        return refused(lambda: cli.main(arguments("PEARL", tmp_path, *settings, resume, *changed)), capsys)

    assert "optimizer.schedule was 'cosine' and is 'linear'" in resumed("--model.init_args.optimizer.schedule=linear")
    assert "network.activation was 'elu' and is 'silu'" in resumed("--model.init_args.network.activation=silu")
    assert "goes over 6 meta-steps" in resumed("--trainer.max_epochs=4")
