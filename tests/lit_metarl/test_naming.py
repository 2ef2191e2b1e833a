"""Names of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonargparse import Namespace

from envs.errors import ConfigurationError
from lit_metarl.naming import expand_folders, run_name

NAMED: list[tuple[str, str, str | None, str, str]] = [
    ("PEARL", "PointRobot", "HFRRelabeler", "CEMTaskSampler", "pearl_point_robot_hfr_roml_seed1"),
    ("PEARL", "HalfCheetahVel", "NoRelabeler", "UniformTaskSampler", "pearl_half_cheetah_vel_seed1"),
    ("VariBAD", "KhazadDum", None, "FixedTaskSampler", "varibad_khazad_dum_fixed_seed1"),
    ("VariBAD", "KhazadDum", None, "MPTSSampler", "varibad_khazad_dum_mpts_seed1"),
    ("PEARL", "PointRobot", "HFRRelabeler", "PDTSSampler", "pearl_point_robot_hfr_pdts_seed1"),
    ("RL2", "ML10", "GeneralizedHindsightRelabeler", "UniformTaskSampler", "rl2_ml10_generalized_hindsight_seed1"),
]


def configuration(algorithm: str, env: str, relabeler: str | None, sampler: str, name: str | None) -> dict[str, Any]:
    parts = {"env": f"envs.{env}", "task_sampler": {"class_path": f"datamodules.tasks.{sampler}", "init_args": {}}}
    relabeling = None if relabeler is None else {"class_path": f"datamodules.relabeling.{relabeler}"}
    model = {"class_path": f"lit_metarl.algorithms.{algorithm}"}
    return {"name": name, "seed_everything": 1, "model": model, "data": {**parts, "relabeler": relabeling}}


@pytest.mark.parametrize(("algorithm", "env", "relabeler", "sampler", "name"), NAMED)
def test_a_run_is_named_after_what_it_is_composed_of(
    algorithm: str, env: str, relabeler: str | None, sampler: str, name: str
) -> None:
    assert run_name(configuration(algorithm, env, relabeler, sampler, None)) == name


@pytest.mark.parametrize(
    ("adapted", "name"),
    [
        ("Pendulum-v1", "pearl_pendulum_seed1"),
        ("ALE/Pong-v5", "pearl_pong_seed1"),
        ("my_envs:Maze-v0", "pearl_maze_seed1"),
        ("envs.from_gymnasium.examples.FetchReachGoal", "pearl_fetch_reach_goal_seed1"),
    ],
)
def test_an_adapted_environment_is_called_what_it_adapts(adapted: str, name: str) -> None:
    given = configuration(*NAMED[1][:4], None)
    given["data"]["env"] = {"class_path": "envs.FromGymnasium", "init_args": {"env": adapted}}
    assert run_name(given) == name


def test_a_given_name_counts_and_may_be_empty() -> None:
    for name in ("first_try", ""):
        assert run_name(configuration(*NAMED[0][:4], name)) == name


def test_home_and_variables_in_a_loggers_folder_are_those_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("WHERE", "scratch")
    loggers = [Namespace(init_args=Namespace(save_dir="~/$WHERE")), Namespace(init_args=Namespace(save_dir=None)), True]
    config = Namespace(trainer=Namespace(logger=loggers), last_checkpoint=Namespace(dirpath="~/last"))
    expand_folders(config)
    assert loggers[0].init_args.save_dir == "/home/me/scratch"
    assert config.last_checkpoint.dirpath == "/home/me/last"


def test_a_logger_that_writes_into_a_store_elsewhere_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="s3://bucket"):
        expand_folders(Namespace(trainer=Namespace(logger=Namespace(init_args=Namespace(save_dir="s3://bucket")))))


@pytest.mark.parametrize("name", ["a/b", "..", "/tmp", "long" * 64])
def test_a_name_that_is_not_that_of_one_folder_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        run_name(configuration(*NAMED[0][:4], name))


def test_a_runs_own_configuration_does_not_name_other_runs(run_tiny: Any, tmp_path: Path) -> None:
    assert run_tiny("fit", "--name=null", "--trainer.max_epochs=1") == 0
    folder = tmp_path / "runs" / "pearl_point_robot_seed1" / "version_0"
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["name"] is None
    assert config["trainer"]["logger"]["init_args"]["name"] is None
    again = [f"--config={folder / 'config.yaml'}", "--name=null", "--seed_everything=2", "--trainer.max_epochs=1"]
    assert run_tiny("fit", *again) == 0
    assert (tmp_path / "runs" / "pearl_point_robot_seed2" / "version_0" / "results.json").is_file()
