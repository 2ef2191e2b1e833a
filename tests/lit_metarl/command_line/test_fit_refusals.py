"""What `fit` refuses before training, each in one message and with status 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lit_metarl.command_line.conftest import EARLY_STOPPING, IN_TRAINING, IN_VALIDATION, Run, refused

CEM = "--data.task_sampler=datamodules.tasks.CEMTaskSampler"
MPTS = "--data.task_sampler=datamodules.tasks.MPTSSampler"
PDTS = "--data.task_sampler=datamodules.tasks.PDTSSampler"
FAMILY = "--data.task_sampler.init_args.family=datamodules.tasks.BetaFamily"
LATE = "--trainer.callbacks.check_on_train_epoch_end"


def test_annealing_the_learning_rate_over_an_unknown_number_of_epochs_is_refused(
    run_tiny: Run, configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    annealed = [f"--config={configs}/algorithm/rl2.yaml", "--model.init_args.ppo.optimizer.schedule=linear"]
    message = refused(lambda: run_tiny("fit", *annealed, "--trainer.max_epochs=-1"), capsys)
    assert "trainer.max_epochs = -1" in message


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


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([CEM, FAMILY, "--data.task_sampler.init_args.alpha=1.5"], ["alpha", "1.5", "(0, 1]"]),
        (
            [MPTS, "--data.task_sampler.init_args.candidate_ratio=0.5"],
            ["data.task_sampler.init_args.candidate_ratio = 0.5", "at least as many candidates as tasks"],
        ),
        (
            [PDTS, "--data.task_sampler.init_args.diversity_weight=-1"],
            ["data.task_sampler.init_args.diversity_weight = -1", "not negative"],
        ),
        (
            [MPTS, "--data.task_sampler.init_args.predictor.batch=1"],
            ["data.task_sampler.init_args.predictor.batch = 1", "fewer than 2 trials"],
        ),
        (["--data.task_slots=0"], ["data.task_slots", "0", "at least one task"]),
        (["--model.init_args.kl_weight=null"], ["model.init_args.kl_weight = 'null'", "a number"]),
        (["--model.init_args.cvar_alpha=null"], ["model.init_args.cvar_alpha = 'null'"]),
        ([CEM, "--data.task_sampler.init_args.smoothing=null"], ["data.task_sampler.init_args.smoothing = 'null'"]),
        (["--data.env=envs.HalfCheetahVel", "--data.env.init_args.max_velocity=null"], ["max_velocity = 'null'"]),
        (["--seed_everything=-1"], ["seed_everything", "-1", "0 or more"]),
        (["--seed_everything=4294967296"], ["seed_everything = 4294967296", "less than 2**32"]),
        (["--checkpoint.dirpath=s3://bucket"], ["checkpoint.dirpath = 's3://bucket'", "of this machine"]),
        (["--last_checkpoint.monitor=val/return"], ["last_checkpoint.monitor = 'val/return'", "resumed"]),
        (["--checkpoint.filename=last"], ["last_checkpoint.filename", "last", "one file"]),
        (["--trainer.check_val_every_n_epoch=0"], ["trainer.check_val_every_n_epoch", "0", "at least 1"]),
        (["--trainer.limit_test_batches=0"], ["trainer.limit_test_batches", "0", "nothing would be evaluated"]),
        (["--video=true"], ["video", "True"]),
        (["--checkpoint.save_top_k=2"], ["checkpoint.save_top_k", "2", "best.ckpt", "best-{epoch}"]),
        (["--checkpoint.save_top_k=0"], ["checkpoint.save_top_k", "0", "no checkpoint would be kept"]),
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
        (["--config=nowhere.yaml"], ["nowhere.yaml", "no such file", "quickstart"]),
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
    def misspelled(*more: str) -> str:
        message = refused(lambda: run_tiny("fit", "--checkpoint.monitor=val/retrun", *more), capsys)
        assert not list((tmp_path / "runs").glob("version_1/checkpoints"))
        return message

    run_tiny("fit", "--trainer.max_epochs=1")
    checkpoint = next((tmp_path / "runs").glob("version_0/checkpoints/last.ckpt"))
    for message in (misspelled(f"--ckpt_path={checkpoint}"), misspelled()):
        assert "checkpoint.monitor = 'val/retrun'" in message
        assert "'val/return'" in message


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--checkpoint.monitor=foo"], ["checkpoint.monitor = 'foo'", "Known are val/return"]),
        (["--checkpoint.monitor=val/metaworld_success"], ["checkpoint.monitor", "no validation measures it"]),
        (["--checkpoint.monitor=test/return"], ["checkpoint.monitor = 'test/return'", "'val/return'"]),
        (
            [EARLY_STOPPING, "--trainer.callbacks.monitor=foo"],
            ["trainer.callbacks.init_args.monitor = 'foo'", "val/return"],
        ),
        ([EARLY_STOPPING, IN_TRAINING, f"{LATE}=false"], ["check_on_train_epoch_end = False", "Set it to true"]),
        (
            [EARLY_STOPPING, IN_VALIDATION, f"{LATE}=true", "--trainer.check_val_every_n_epoch=2"],
            ["check_on_train_epoch_end = True", "not measured in every epoch"],
        ),
    ],
)
def test_a_monitored_metric_that_will_not_be_available_is_refused_before_training(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], parts: list[str]
) -> None:
    message = refused(lambda: run_tiny("fit", *arguments), capsys)
    assert all(part in message for part in parts), message
    assert not list((tmp_path / "runs").glob("*/checkpoints"))
