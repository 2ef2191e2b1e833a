"""`fit` trains, writes its results and ends with a table."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from datamodules.tasks import CEMTaskSampler
from lit_metarl.checkpoints import RunCheckpoint, chosen_by
from lit_metarl.command_line import run as command_line_run
from tests.lit_metarl.command_line.conftest import EARLY_STOPPING, IN_TRAINING, IN_VALIDATION, Run, refused, scalars


def test_fit_prints_results_before_and_after_and_logs_against_environment_steps(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny("fit") == 0
    printed = capsys.readouterr().out
    assert "before" in printed
    assert "after" in printed
    assert "test/return_episode_3" in printed
    events = scalars(tmp_path)
    initial, iteration = 4 * 1 * 20, 2 * 3 * 20
    assert [event.step for event in events.Scalars("val/return")] == [initial + iteration, initial + 2 * iteration]
    assert [event.value for event in events.Scalars("progress/meta_steps")] == [3.0, 6.0]
    logged = set(events.Tags()["scalars"])
    assert {"train/kl", "train/critic_loss", "val/cvar", "val/return_episode_1", "collect/return"} <= logged
    (versions,) = (tmp_path / "runs").glob("version_*/versions.json")
    assert set(json.loads(versions.read_text())) == {"torch", "gymnasium", "mujoco"}


def test_the_learning_rate_decreases_to_zero_if_asked(run_tiny: Run, configs: Path, tmp_path: Path) -> None:
    algorithm = f"--config={configs}/algorithm/rl2.yaml"
    run_tiny("fit", algorithm, "--data.collection.iterations=3", "--model.init_args.ppo.optimizer.schedule=linear")
    checkpoint = torch.load(next((tmp_path / "runs").glob("version_*/checkpoints/last.ckpt")), weights_only=True)
    (group,) = checkpoint["optimizer_states"][0]["param_groups"]
    (schedule,) = checkpoint["lr_schedulers"]
    assert (schedule["meta_steps"], schedule["last_epoch"]) == (6, 6)  # 2 × 3 updates
    assert (group["initial_lr"], group["lr"]) == (7e-4, 0.0)


def test_a_sanity_check_before_training_tells_the_task_sampler_nothing(
    run_tiny: Run, configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    monkeypatch.setattr(CEMTaskSampler, "take_validation", lambda sampler, scores: taken.append(len(scores)))
    assert run_tiny("fit", f"--config={configs}/robust/roml.yaml", "--trainer.num_sanity_val_steps=-1") == 0
    assert taken == [3, 3]


def test_fast_dev_run_leaves_no_file_behind(run_tiny: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for subcommand in ("fit", "test"):
        assert run_tiny(subcommand, "--trainer.fast_dev_run=true") == 0
    assert not list(tmp_path.rglob("*"))


def test_runs_that_begin_at_the_same_time_do_not_share_a_folder(
    run_tiny: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "runs" / "version_0"
    begun = command_line_run.Run.begun

    def begun_a_little_later(run: command_line_run.Run) -> command_line_run.Run:
        assert run.folder == taken
        taken.mkdir(parents=True)  # by another run
        return begun(run)

    monkeypatch.setattr(command_line_run.Run, "begun", begun_a_little_later)
    loggers = [
        {"class_path": f"pytorch_lightning.loggers.{kind}", "init_args": {"save_dir": str(taken.parent), "name": ""}}
        for kind in ("TensorBoardLogger", "CSVLogger")
    ]
    assert run_tiny("fit", "--trainer.max_epochs=1", f"--trainer.logger={json.dumps(loggers)}") == 0
    assert not list(taken.iterdir())
    own = tmp_path / "runs" / "version_1"
    assert f"Run: {own}\n" in capsys.readouterr().out
    for name in ("config.yaml", "results.json", "metrics.csv", "checkpoints/best.ckpt", "events.out.tfevents.*"):
        assert list(own.glob(name)), name


def test_the_quickstart_runs(run_tiny: Run) -> None:
    assert run_tiny("fit", "--trainer.max_epochs=1", config="quickstart.yaml") == 0


def test_a_run_says_which_checkpoint_was_tested_and_of_which_tasks_cvar_is(
    run_tiny: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny("fit", "--model.init_args.cvar_alpha=0.4") == 0
    printed = capsys.readouterr().out
    scores = [float(line.split("  return ")[1].split()[0]) for line in printed.splitlines() if line.startswith("epoch")]
    assert f"checkpoints/best.ckpt, the best by val/return ({max(scores):.2f})\n" in printed
    assert "(the worst 40 %) and success: of the last of 3 episodes of one trial on each of 5 tasks" in printed
    folder = printed.partition("Run: ")[2].splitlines()[0]
    assert (Path(folder) / "results.json").is_file()
    assert run_tiny("fit", "--checkpoint.monitor=step", "--trainer.max_epochs=1") == 0
    assert "checkpoints/best.ckpt, the last one\n" in capsys.readouterr().out


def test_a_warning_is_told_without_the_line_of_the_code_that_warns(
    run_tiny: Run, configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():  # else pytest keeps them
        warnings.simplefilter("default")
        warnings.showwarning = lambda *told: print(warnings.formatwarning(*told[:4]), file=sys.stderr)
        assert run_tiny("fit", f"--config={configs}/robust/roml.yaml", "--trainer.max_epochs=1") == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "it changes nothing" in line]
    assert [line.partition("CEM")[0] for line in told] == ["warning: "]


def test_a_users_own_checkpoint_callback_does_not_choose_what_is_tested(
    run_tiny: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    own = "--trainer.callbacks+=pytorch_lightning.callbacks.ModelCheckpoint"
    assert run_tiny("fit", own) == 0
    assert "checkpoints/best.ckpt" in capsys.readouterr().out


def test_a_run_without_logger_does_not_overwrite_another(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = ["--trainer.logger=false", f"--trainer.default_root_dir={tmp_path}/bare"]
    assert run_tiny("fit", *bare) == 0
    assert "config.yaml of another run" in refused(lambda: run_tiny("fit", *bare), capsys)


def test_a_run_without_validation_says_that_it_has_no_best_checkpoint(
    run_tiny: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny("fit", "--trainer.limit_val_batches=0") == 0
    assert "no best checkpoint" in capsys.readouterr().err


def test_two_runs_with_one_seed_end_with_equal_weights(run_tiny: Run, tmp_path: Path) -> None:
    for _ in range(2):
        run_tiny("fit")
    first, second = sorted((tmp_path / "runs").glob("version_*/checkpoints/last.ckpt"))
    weights = [torch.load(path, weights_only=True)["state_dict"] for path in (first, second)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.parametrize("monitor", ["step", "train/critic_loss"])
def test_the_best_checkpoint_may_be_chosen_by_a_training_metric(run_tiny: Run, tmp_path: Path, monitor: str) -> None:
    assert run_tiny("fit", f"--checkpoint.monitor={monitor}", "--trainer.max_epochs=1") == 0
    assert list((tmp_path / "runs").glob("*/checkpoints/best.ckpt"))


@pytest.mark.parametrize(
    "callback",
    [
        [EARLY_STOPPING, IN_VALIDATION, "--trainer.callbacks.mode=max", "--trainer.callbacks.stopping_threshold=-1000"],
        [EARLY_STOPPING, IN_TRAINING, "--trainer.callbacks.stopping_threshold=1000"],
        ["--trainer.callbacks+=pytorch_lightning.callbacks.Timer", "--trainer.callbacks.duration=00:00:00:01"],
    ],
)
def test_lightnings_callbacks_may_end_a_run_early(run_tiny: Run, tmp_path: Path, callback: list[str]) -> None:
    assert run_tiny("fit", "--trainer.max_epochs=200", *callback) == 0
    checkpoint = torch.load(next((tmp_path / "runs").glob("version_0/checkpoints/last.ckpt")), weights_only=True)
    assert checkpoint["epoch"] < 199
    assert (tmp_path / "runs" / "version_0" / "results.json").is_file()


@pytest.mark.parametrize("profiler", ["simple", "advanced"])
def test_a_profiler_follows_a_run_to_its_end(run_tiny: Run, tmp_path: Path, profiler: str) -> None:
    assert run_tiny("fit", "--trainer.max_epochs=1", f"--trainer.profiler={profiler}") == 0
    assert (tmp_path / "runs" / "version_0" / "results.json").is_file()


def test_the_best_two_checkpoints_are_kept_where_their_names_differ(run_tiny: Run, tmp_path: Path) -> None:
    names = ["--checkpoint.save_top_k=2", "--checkpoint.filename=best-{epoch}"]
    run_tiny("fit", "--trainer.max_epochs=3", *names)
    kept = {path.name for path in (tmp_path / "runs").glob("version_0/checkpoints/*.ckpt")}
    assert len(kept) == 3
    assert "last.ckpt" in kept


def test_a_best_score_of_zero_is_a_score() -> None:
    best = RunCheckpoint(monitor="val/cvar")
    best.best_model_score = torch.tensor(0.0)
    trainer: Any = SimpleNamespace(callbacks=[best])
    assert chosen_by(trainer) == "the best by val/cvar (0.00)"
