"""The command line, run as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from datamodules.tasks import CEMTaskSampler
from lit_metarl import cli

Run = Callable[..., int]


def scalars(tmp_path: Path, version: int = 0) -> EventAccumulator:
    events = EventAccumulator(str(tmp_path / "runs" / f"version_{version}"))
    events.Reload()
    return events


def refused(run: Callable[[], int], capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a run that must be refused with status 2 and no traceback."""
    try:
        status = run()
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    message = capsys.readouterr().err
    assert status == 2
    assert "Traceback" not in message
    return message


def test_fit_prints_results_before_and_after_and_logs_against_environment_steps(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny("fit") == 0
    printed = capsys.readouterr().out
    assert "before" in printed
    assert "after" in printed
    assert "test/return_episode_2" in printed
    events = scalars(tmp_path)
    initial, iteration = 4 * 1 * 20, 2 * 2 * 20
    assert [event.step for event in events.Scalars("val/return")] == [initial + iteration, initial + 2 * iteration]
    assert [event.value for event in events.Scalars("progress/meta_steps")] == [3.0, 6.0]
    logged = set(events.Tags()["scalars"])
    assert {"train/kl", "train/critic_loss", "val/cvar", "val/return_episode_1", "collect/return"} <= logged
    (versions,) = (tmp_path / "runs").glob("version_*/versions.json")
    assert set(json.loads(versions.read_text())) == {"torch", "gymnasium", "mujoco"}


@pytest.mark.parametrize("relabel", ["none", "random", "hfr"])
@pytest.mark.parametrize("robust", ["uniform", "fixed", "roml"])
def test_relabeling_and_task_sampling_compose_by_one_more_config_each(
    run_tiny: Run, configs: Path, tmp_path: Path, relabel: str, robust: str
) -> None:
    parts = [f"--config={configs}/relabel/{relabel}.yaml", f"--config={configs}/robust/{robust}.yaml"]
    assert run_tiny("fit", *parts) == 0
    logged = set(scalars(tmp_path).Tags()["scalars"])
    assert ("relabel/rate" in logged) == (relabel != "none")
    assert ("relabel/entropy" in logged) == (relabel == "hfr")
    assert ("cem/mean_goal_x" in logged) == (robust == "roml")


@pytest.mark.parametrize("robust", ["fixed", "roml"])
def test_hindsight_may_use_a_learned_reward(run_tiny: Run, configs: Path, tmp_path: Path, robust: str) -> None:
    parts = [
        f"--config={configs}/{part}.yaml" for part in ("relabel/hfr", "relabel/learned_reward", f"robust/{robust}")
    ]
    assert run_tiny("fit", *parts, "--data.reward_model.init_args.gradient_steps=5") == 0
    assert "reward_model/squared_error" in scalars(tmp_path).Tags()["scalars"]


@pytest.mark.parametrize("relabel", ["hfr_bellman", "hipi"])
def test_the_other_relabelers_are_one_more_config_too(
    run_tiny: Run, configs: Path, tmp_path: Path, relabel: str
) -> None:
    assert run_tiny("fit", f"--config={configs}/relabel/{relabel}.yaml") == 0
    assert "relabel/entropy" in scalars(tmp_path).Tags()["scalars"]


@pytest.mark.parametrize("environment", ["half_cheetah_vel", "sparse_point_robot", "four_corners"])
def test_the_world_is_one_more_config_and_sizes_follow(run_tiny: Run, configs: Path, environment: str) -> None:
    assert run_tiny("fit", f"--config={configs}/env/{environment}.yaml", "--trainer.max_epochs=1") == 0


@pytest.mark.parametrize("algorithm", ["varibad", "rl2"])
@pytest.mark.parametrize("robust", ["uniform", "roml", "cvar_ml"])
def test_on_policy_algorithms_run_with_any_task_sampler(
    run_tiny: Run, configs: Path, tmp_path: Path, algorithm: str, robust: str
) -> None:
    parts = [f"--config={configs}/{part}.yaml" for part in (f"algorithm/{algorithm}", f"robust/{robust}")]
    assert run_tiny("fit", *parts, "--data.collection.iterations=3") == 0
    events = scalars(tmp_path)
    logged = set(events.Tags()["scalars"])
    assert {"train/policy_loss", "train/entropy", "val/return_episode_1", "collect/return"} <= logged
    assert ("train/belief_kl" in logged) == (algorithm == "varibad")
    assert ("cem/mean_goal_x" in logged) == (robust == "roml")
    assert not {name for name in logged if "exploration" in name}
    assert [event.step for event in events.Scalars("val/return")] == [3 * 2 * 20, 2 * 3 * 2 * 20]
    assert [event.value for event in events.Scalars("progress/meta_steps")] == [3.0, 6.0]


@pytest.mark.parametrize("robust", ["uniform", "roml", "cvar_ml"])
def test_maml_runs_with_any_task_sampler_and_shows_returns_before_and_after_adaptation(
    run_tiny: Run, configs: Path, tmp_path: Path, robust: str
) -> None:
    parts = [f"--config={configs}/{part}.yaml" for part in ("algorithm/maml", f"robust/{robust}")]
    assert run_tiny("fit", *parts, "--model.init_args.episodes_per_step=2", "--data.collection.iterations=2") == 0
    events = scalars(tmp_path)
    logged = set(events.Tags()["scalars"])
    assert {"train/kl", "train/line_search_failed", "val/return_exploration", "val/return_episode_3"} <= logged
    assert ("cem/mean_goal_x" in logged) == (robust == "roml")
    assert [event.step for event in events.Scalars("val/return")] == [2 * 2 * 3 * 20, 4 * 2 * 3 * 20]
    assert [event.value for event in events.Scalars("progress/meta_steps")] == [2.0, 4.0]


def test_an_on_policy_run_goes_on_from_its_last_checkpoint_and_can_be_tested(
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


def test_the_learning_rate_falls_to_zero_over_the_run_if_asked(run_tiny: Run, configs: Path, tmp_path: Path) -> None:
    algorithm = f"--config={configs}/algorithm/rl2.yaml"
    run_tiny("fit", algorithm, "--data.collection.iterations=3", "--model.init_args.ppo.anneal_learning_rate=true")
    checkpoint = torch.load(next((tmp_path / "runs").glob("version_*/checkpoints/last.ckpt")), weights_only=True)
    (group,) = checkpoint["optimizer_states"][0]["param_groups"]
    assert group["lr"] == pytest.approx(7e-4 / 6)  # in the last of 2 × 3 updates


def test_a_rate_that_is_to_fall_over_an_unknown_number_of_epochs_is_refused(
    run_tiny: Run, configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    annealed = [f"--config={configs}/algorithm/rl2.yaml", "--model.init_args.ppo.anneal_learning_rate=true"]
    limits = ["--trainer.max_epochs=null", "--trainer.max_steps=3"]
    message = refused(lambda: run_tiny("fit", *annealed, *limits), capsys)
    assert "trainer.max_epochs = -1" in message


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


def test_the_quickstart_runs(run_tiny: Run) -> None:
    assert run_tiny("fit", "--trainer.max_epochs=1", config="quickstart.yaml") == 0


def test_the_test_subcommand_reproduces_the_table_from_the_best_checkpoint(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_tiny("fit")
    after = _last_column(capsys.readouterr().out)
    checkpoint = next((tmp_path / "runs").glob("version_*/checkpoints/best.ckpt"))
    assert run_tiny("test", f"--ckpt_path={checkpoint}") == 0
    assert _last_column(capsys.readouterr().out) == after


def _last_column(printed: str) -> dict[str, str]:
    rows = [line.split("│") for line in printed.splitlines() if "test/" in line]
    return {row[1].strip(): row[-2].strip() for row in rows}


def test_validate_runs_from_a_checkpoint_and_shows_no_progress_of_training(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_tiny("fit")
    assert "iteration    2" in capsys.readouterr().out
    checkpoint = next((tmp_path / "runs").glob("version_*/checkpoints/last.ckpt"))
    assert run_tiny("validate", f"--ckpt_path={checkpoint}") == 0
    assert "iteration" not in capsys.readouterr().out


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test", "predict"])
def test_the_configuration_of_a_run_can_be_given_to_every_subcommand(
    subcommand: str, run_tiny: Run, tmp_path: Path
) -> None:
    run_tiny("fit", "--trainer.max_epochs=1")
    configuration, checkpoint = f"--config={tmp_path}/runs/version_0/config.yaml", "version_0/checkpoints/last.ckpt"
    assert cli.main([subcommand, configuration, f"--ckpt_path={tmp_path}/runs/{checkpoint}"]) == 0


def test_a_checkpoint_callback_of_ones_own_does_not_choose_what_is_tested(
    run_tiny: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    own = "--trainer.callbacks+=pytorch_lightning.callbacks.ModelCheckpoint"
    assert run_tiny("fit", own) == 0
    assert "checkpoints/best.ckpt" in capsys.readouterr().out


def test_a_run_without_logger_does_not_write_over_another(
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


def test_a_run_goes_on_from_its_last_checkpoint(run_tiny: Run, tmp_path: Path) -> None:
    run_tiny("fit")
    checkpoint = next((tmp_path / "runs").glob("version_0/checkpoints/last.ckpt"))
    assert run_tiny("fit", f"--ckpt_path={checkpoint}", "--trainer.max_epochs=3") == 0
    continued = torch.load(next((tmp_path / "runs").glob("version_1/checkpoints/last.ckpt")), weights_only=True)
    assert continued["epoch"] == 2


def test_two_runs_with_one_seed_end_with_equal_weights(run_tiny: Run, tmp_path: Path) -> None:
    for _ in range(2):
        run_tiny("fit")
    first, second = sorted((tmp_path / "runs").glob("version_*/checkpoints/last.ckpt"))
    weights = [torch.load(path, weights_only=True)["state_dict"] for path in (first, second)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.parametrize(
    ("argument", "nearest"),
    [
        ("--data.task_slot=3", "data.task_slots"),
        ("--trainer.max_epoch=3", "trainer.max_epochs"),
        ("--model.init_args.layer=[3]", "layers"),
        ("--data.batches.transition=3", "data.batches.transitions"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    run_tiny: Run, capsys: pytest.CaptureFixture[str], argument: str, nearest: str
) -> None:
    message = refused(lambda: run_tiny("fit", argument), capsys)
    assert f"'{nearest}'" in message


def test_an_unknown_key_in_a_file_is_refused_with_the_nearest_known_one(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong.yaml").write_text("data: {task_slot: 3}")
    assert "'data.task_slots'" in refused(lambda: run_tiny("fit", f"--config={tmp_path}/wrong.yaml"), capsys)


def test_a_seed_of_the_algorithm_alone_is_refused_in_a_file_too(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.yaml").write_text("model: {init_args: {seed: 5}}")
    message = refused(lambda: run_tiny("fit", f"--config={tmp_path}/own.yaml"), capsys)
    assert all(part in message for part in ("model.init_args.seed", "own.yaml", "--seed_everything=5")), message


CEM = "--data.task_sampler=datamodules.tasks.CEMTaskSampler"
FAMILY = "--data.task_sampler.init_args.family=datamodules.tasks.BetaFamily"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([CEM, FAMILY, "--data.task_sampler.init_args.alpha=1.5"], ["alpha", "1.5", "(0, 1]"]),
        (["--data.task_slots=0"], ["data.task_slots", "0", "at least one task"]),
        (["--model.init_args.kl_weight=null"], ["model.init_args.kl_weight = 'null'", "a number"]),
        (["--model.init_args.cvar_alpha=null"], ["model.init_args.cvar_alpha = 'null'"]),
        ([CEM, "--data.task_sampler.init_args.smoothing=null"], ["data.task_sampler.init_args.smoothing = 'null'"]),
        (["--data.env=envs.HalfCheetahVel", "--data.env.init_args.max_velocity=null"], ["max_velocity = 'null'"]),
        (["--seed_everything=-1"], ["seed_everything", "-1", "0 or more"]),
        (["--checkpoint.filename=last"], ["last_checkpoint.filename", "last", "one file"]),
        (["--trainer.check_val_every_n_epoch=0"], ["trainer.check_val_every_n_epoch", "0", "at least 1"]),
        (["--trainer.limit_test_batches=0"], ["trainer.limit_test_batches", "0", "nothing would be evaluated"]),
        (["--video=true"], ["video", "True"]),
        (["--checkpoint.save_top_k=2"], ["checkpoint.save_top_k", "2", "best.ckpt", "best-{epoch}"]),
        (["--checkpoint.save_top_k=-1"], ["checkpoint.save_top_k", "-1", "best.ckpt"]),
        (["--trainer.precision=64-true"], ["trainer.precision", "64-true", "32-true"]),
        (["--trainer.precision=bf16-mixed"], ["trainer.precision", "bf16-mixed", "32-true"]),
        (["--model.init_args.cvar_alpha=0"], ["cvar_alpha", "0", "(0, 1]"]),
        (["--data.batches.tasks=9"], ["data.batches.tasks", "9", "4 task slots"]),
        (
            ["--data.relabeler=datamodules.relabeling.RandomRelabeler", "--data.relabeler.init_args.probability=2"],
            ["probability", "2", "[0, 1]"],
        ),
        (["--trainer.strategy=nonsense"], ["strategy", "nonsense"]),
        (["--ckpt_path=nowhere.ckpt"], ["ckpt_path", "nowhere.ckpt", "no such file"]),
        (["--trainer.logger.init_args.save_dir=/dev/null/runs"], ["save_dir", "/dev/null/runs", "cannot be written"]),
        (
            [
                "--data.env=tests.environments.DriftingPoint",
                "--data.relabeler=datamodules.relabeling.RandomRelabeler",
            ],
            ["data.relabeler", "RandomRelabeler", "dynamics", "NoRelabeler"],
        ),
        (
            ["--model=tests.environments.Blind", "--data.relabeler=datamodules.relabeling.HFRRelabeler"],
            ["data.relabeler", "HFRRelabeler", "foresight", "Blind"],
        ),
        (
            ["--model=lit_metarl.algorithms.VariBAD", "--data.relabeler=datamodules.relabeling.RandomRelabeler"],
            ["data.relabeler", "RandomRelabeler", "VariBAD", "NoRelabeler"],
        ),
        (
            ["--model=lit_metarl.algorithms.VariBAD", "--model.init_args.cvar_share=0"],
            ["cvar_share", "0", "(0, 1]"],
        ),
        (
            ["--model=lit_metarl.algorithms.MAML", "--data.relabeler=datamodules.relabeling.HFRRelabeler"],
            ["data.relabeler", "HFRRelabeler", "MAML", "NoRelabeler"],
        ),
        (["--model=lit_metarl.algorithms.MAML", "--model.init_args.inner_steps=0"], ["inner_steps", "0", "at least 1"]),
        (
            ["--model=lit_metarl.algorithms.MAML", "--model.init_args.trpo.max_kl=0"],
            ["model.init_args.trpo.max_kl", "0", "positive"],
        ),
        (["--model=lit_metarl.algorithms.VariBAD", "--data.belief.capacity=1"], ["data.belief.capacity", "2 trials"]),
        (["--model=PEARLL"], ["model = 'PEARLL'", "no class", "'lit_metarl.algorithms.PEARL'"]),
        (["--data.env=envs.PointRobott"], ["data.env = 'envs.PointRobott'", "'envs.PointRobot'"]),
        (["--data.relabeler=my_file.Own"], ["data.relabeler", "no module 'my_file'", "HFRRelabeler", "train.py"]),
        (["--data.relabeler=datamodules.tasks.UniformTaskSampler"], ["data.relabeler", "it is no Relabeler"]),
        (
            ["--model=lit_metarl.algorithms.MetaRLModule"],
            ["model = 'lit_metarl.algorithms.MetaRLModule'", "only a base", "PEARL"],
        ),
        (
            ["--data.relabeler=datamodules.relabeling.ProbabilisticRelabeler"],
            ["data.relabeler = 'datamodules.relabeling.ProbabilisticRelabeler'", "only a base", "NoRelabeler"],
        ),
        (["--data.relabeler.class_path=datamodules.relabeling.Relabeler"], ["relabeling.Relabeler'", "only a base"]),
        ([CEM, f"{FAMILY.partition('=')[0]}=datamodules.tasks.TaskFamily"], ["tasks.TaskFamily'", "only a base"]),
        (["--data.env=envs.MetaEnv"], ["data.env = 'envs.MetaEnv'", "only a base", "PointRobot"]),
        (["--trainer.profiler=pytorch"], ["trainer.profiler", "PyTorchProfiler", "simple or advanced"]),
        (["--ckpt_path=hpc"], ["ckpt_path = 'hpc'", "hpc_ckpt_N.ckpt", "last"]),
        (["--ckpt_path=best"], ["ckpt_path = 'best'", "no such file"]),
        (["--trainer.max_epochs=lots"], ["trainer.max_epochs = 'lots'", "it must be a whole number, or null"]),
        (["--config=nowhere.yaml"], ["nowhere.yaml", "no such file", "configs/quickstart.yaml"]),
        (["--model.init_args.seed=5"], ["model.init_args.seed", "'5'", "--seed_everything=5"]),
        (["--model.seed", "5"], ["model.init_args.seed", "'5'", "--seed_everything=5"]),
        (["--config=README.md"], ["README.md", "cannot be read as YAML in line"]),
        (["configs/point_robot.yaml"], ["configs/point_robot.yaml", "given by --config"]),
    ],
)
def test_a_mistake_is_refused_before_anything_runs_with_key_value_and_what_is_allowed(
    run_tiny: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], parts: list[str]
) -> None:
    message = refused(lambda: run_tiny("fit", *arguments), capsys)
    assert all(part in message for part in parts), message


def test_a_monitor_that_no_validation_measures_is_refused_before_training_also_of_a_resumed_run(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def misspelt(*more: str) -> str:
        message = refused(lambda: run_tiny("fit", "--checkpoint.monitor=val/retrun", *more), capsys)
        assert not list((tmp_path / "runs").glob("version_1/checkpoints"))
        return message

    run_tiny("fit", "--trainer.max_epochs=1")
    checkpoint = next((tmp_path / "runs").glob("version_0/checkpoints/last.ckpt"))
    for message in (misspelt(f"--ckpt_path={checkpoint}"), misspelt()):
        assert "checkpoint.monitor = 'val/retrun'" in message
        assert "'val/return'" in message


EARLY = "--trainer.callbacks+=pytorch_lightning.callbacks.EarlyStopping"
LATE = "--trainer.callbacks.check_on_train_epoch_end"
IN_TRAINING = "--trainer.callbacks.monitor=train/kl"
IN_VALIDATION = "--trainer.callbacks.monitor=val/return"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--checkpoint.monitor=foo"], ["checkpoint.monitor = 'foo'", "Known are val/return"]),
        (["--checkpoint.monitor=test/return"], ["checkpoint.monitor = 'test/return'", "'val/return'"]),
        ([EARLY, "--trainer.callbacks.monitor=foo"], ["trainer.callbacks.init_args.monitor = 'foo'", "val/return"]),
        ([EARLY, IN_TRAINING, f"{LATE}=false"], ["check_on_train_epoch_end = False", "Set it to true"]),
        (
            [EARLY, IN_VALIDATION, f"{LATE}=true", "--trainer.check_val_every_n_epoch=2"],
            ["check_on_train_epoch_end = True", "not measured in every epoch"],
        ),
    ],
)
def test_a_figure_that_will_not_be_there_to_be_watched_is_refused_before_training(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], parts: list[str]
) -> None:
    message = refused(lambda: run_tiny("fit", *arguments), capsys)
    assert all(part in message for part in parts), message
    assert not list((tmp_path / "runs").glob("*/checkpoints"))


@pytest.mark.parametrize("monitor", ["step", "train/critic_loss"])
def test_the_best_checkpoint_may_be_chosen_by_a_figure_of_training(run_tiny: Run, tmp_path: Path, monitor: str) -> None:
    assert run_tiny("fit", f"--checkpoint.monitor={monitor}", "--trainer.max_epochs=1") == 0
    assert list((tmp_path / "runs").glob("*/checkpoints/best.ckpt"))


@pytest.mark.parametrize(
    "callback",
    [
        [EARLY, IN_VALIDATION, "--trainer.callbacks.mode=max", "--trainer.callbacks.stopping_threshold=-1000"],
        [EARLY, IN_TRAINING, "--trainer.callbacks.stopping_threshold=1000"],
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


def test_a_run_goes_on_from_the_checkpoint_of_a_requeued_job_if_it_is_of_this_configuration(
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
    assert steps == [4 * 1 * 20 + 2 * 2 * 2 * 20]


def test_the_best_two_checkpoints_are_kept_where_their_names_differ(run_tiny: Run, tmp_path: Path) -> None:
    names = ["--checkpoint.save_top_k=2", "--checkpoint.filename=best-{epoch}"]
    run_tiny("fit", "--trainer.max_epochs=3", *names)
    kept = {path.name for path in (tmp_path / "runs").glob("version_0/checkpoints/*.ckpt")}
    assert len(kept) == 3
    assert "last.ckpt" in kept


def test_a_checkpoint_of_other_networks_is_refused_with_the_first_difference(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_tiny("fit", "--trainer.max_epochs=1")
    checkpoint = next((tmp_path / "runs").glob("version_0/checkpoints/*.ckpt"))
    capsys.readouterr()
    message = refused(lambda: run_tiny("test", "--model.init_args.latent_dim=3", f"--ckpt_path={checkpoint}"), capsys)
    assert "ckpt_path" in message
    assert "there, [" in message
    assert "config.yaml" in message


def test_an_untrained_agent_is_tested_with_a_warning(run_tiny: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tiny("test") == 0
    assert "untrained" in capsys.readouterr().err


def test_help_shows_what_can_be_set_without_markup_or_bases(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["fit", "--help"], ["predict", "--help"], ["fit", "--model.help=PEARL"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code in (None, 0)
        shown = capsys.readouterr().out
        assert not any(noise in shown for noise in (":paramref:", "<class", "WalkingBody", "model.world", "[options]"))
    assert "--model.kl_weight" in shown


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 truncated"])
def test_an_unreadable_checkpoint_is_refused(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    path = tmp_path / "broken.ckpt"
    path.write_bytes(content)
    assert "broken.ckpt" in refused(lambda: run_tiny("test", f"--ckpt_path={path}"), capsys)


def test_a_checkpoint_that_carries_code_is_refused(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "code.ckpt"
    torch.save({"state_dict": {}, "payload": Path}, path)
    assert "code.ckpt" in refused(lambda: run_tiny("test", f"--ckpt_path={path}"), capsys)
