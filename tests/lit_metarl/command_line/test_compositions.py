"""Algorithms, environments, relabelers and task samplers combine, each by one more configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lit_metarl.command_line.conftest import Run, scalars


@pytest.mark.parametrize("relabel", ["none", "random", "hfr"])
@pytest.mark.parametrize("robust", ["uniform", "fixed", "roml", "mpts", "pdts"])
def test_relabeling_and_task_sampling_compose_by_one_more_config_each(
    run_tiny: Run, configs: Path, tmp_path: Path, relabel: str, robust: str
) -> None:
    parts = [f"--config={configs}/relabel/{relabel}.yaml", f"--config={configs}/robust/{robust}.yaml"]
    assert run_tiny("fit", *parts) == 0
    logged = set(scalars(tmp_path).Tags()["scalars"])
    assert ("relabel/rate" in logged) == (relabel != "none")
    assert ("relabel/entropy" in logged) == (relabel == "hfr")
    assert ("cem/mean_goal_x" in logged) == (robust == "roml")
    assert ("predictor/selects" in logged) == (robust in ("mpts", "pdts"))


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
def test_the_environment_is_one_more_config_and_sizes_follow(run_tiny: Run, configs: Path, environment: str) -> None:
    assert run_tiny("fit", f"--config={configs}/env/{environment}.yaml", "--trainer.max_epochs=1") == 0


@pytest.mark.parametrize("algorithm", ["varibad", "rl2"])
@pytest.mark.parametrize("robust", ["uniform", "roml", "mpts", "pdts", "cvar_ml"])
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
    assert ("predictor/selects" in logged) == (robust in ("mpts", "pdts"))
    assert not {name for name in logged if "exploration" in name}
    assert [event.step for event in events.Scalars("val/return")] == [3 * 2 * 20, 2 * 3 * 2 * 20]
    assert [event.value for event in events.Scalars("progress/meta_steps")] == [3.0, 6.0]


@pytest.mark.parametrize(
    ("algorithm", "robust", "environment"),
    [("varibad_hypernetwork", "roml", "grid_navi"), ("rl2_hypernetwork", "cvar_ml", "point_robot")],
)
def test_a_hypernetwork_is_another_algorithm_config(
    run_tiny: Run, configs: Path, tmp_path: Path, algorithm: str, robust: str, environment: str
) -> None:
    parts = [
        f"--config={configs}/{part}.yaml"
        for part in (f"env/{environment}", f"algorithm/{algorithm}", f"robust/{robust}")
    ]
    assert run_tiny("fit", *parts, "--trainer.max_epochs=1") == 0
    assert "train/policy_loss" in scalars(tmp_path).Tags()["scalars"]


@pytest.mark.parametrize("robust", ["uniform", "roml", "mpts", "pdts", "cvar_ml"])
def test_maml_runs_with_any_task_sampler_and_shows_returns_before_and_after_adaptation(
    run_tiny: Run, configs: Path, tmp_path: Path, robust: str
) -> None:
    parts = [f"--config={configs}/{part}.yaml" for part in ("algorithm/maml", f"robust/{robust}")]
    assert run_tiny("fit", *parts, "--model.init_args.episodes_per_step=2", "--data.collection.iterations=2") == 0
    events = scalars(tmp_path)
    logged = set(events.Tags()["scalars"])
    assert {"train/kl", "train/line_search_failed", "val/return_exploration", "val/return_episode_3"} <= logged
    assert ("cem/mean_goal_x" in logged) == (robust == "roml")
    assert ("predictor/selects" in logged) == (robust in ("mpts", "pdts"))
    assert [event.step for event in events.Scalars("val/return")] == [2 * 2 * 3 * 20, 4 * 2 * 3 * 20]
    assert [event.value for event in events.Scalars("progress/meta_steps")] == [2.0, 4.0]
