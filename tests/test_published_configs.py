"""Every published experiment, and every one for two cores, is one file that builds and runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lit_metarl import cli

CONFIGS = Path(__file__).parent.parent / "configs"
RELABELING = sorted(str(path.relative_to(CONFIGS)) for path in (CONFIGS / "published" / "hfr").glob("*.yaml"))
MAML = sorted(str(path.relative_to(CONFIGS)) for path in (CONFIGS / "published" / "maml").glob("*.yaml"))
TWO_CORES = sorted(str(path.relative_to(CONFIGS)) for path in (CONFIGS / "two_cores").glob("*.yaml"))


@pytest.mark.parametrize("config", [*RELABELING, *MAML, *TWO_CORES])
def test_an_experiment_builds_and_evaluates(run_tiny: Callable[..., int], config: str) -> None:
    sizes = ["--data.evaluation.adapted_episodes=1", "--data.collection.adapted_context_episodes=0"]
    assert run_tiny("validate", *sizes, config=config) == 0


def test_every_experiment_of_the_paper_has_a_variant_for_two_cores() -> None:
    running = {"ant_goal", "ant_vel", "cheetah_highdim", "cheetah_vel", "cheetah_vel_sparse"}
    assert {Path(config).stem for config in RELABELING} == {*running, "four_corners", "sawyer_push", "sawyer_reach"}
    assert {Path(config).stem for config in RELABELING} <= {Path(config).stem for config in TWO_CORES}


def test_four_corners_takes_more_trials_than_tasks_and_meta_batches_that_repeat_them(
    run_tiny: Callable[..., int],
) -> None:
    sizes = [
        "--data.collection.tasks_per_iteration=6",
        "--data.batches.tasks=8",
        "--data.evaluation.adapted_episodes=1",
    ]
    small = [
        "--data.collection.adapted_context_episodes=1",
        "--model.init_args.layers=[8]",
        "--model.init_args.encoder_layers=[8]",
        "--data.relabeler.init_args.utility_batch=8",
    ]
    assert run_tiny("fit", *sizes, *small, config="published/hfr/four_corners.yaml") == 0


META_WORLD = CONFIGS / "published" / "metaworld"


def test_every_algorithm_has_an_experiment_on_each_benchmark_of_meta_world() -> None:
    environments = ("ml1_reach", "ml1_push", "ml10", "ml45")
    expected = {
        f"{algorithm}_{env_class}" for algorithm in ("maml", "pearl", "rl2", "varibad") for env_class in environments
    }
    assert {path.stem for path in META_WORLD.glob("*.yaml")} == expected


@pytest.mark.parametrize("path", sorted(META_WORLD.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_experiment_on_meta_world_is_understood(path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["fit", f"--config={path}", "--print_config"])
    assert ended.value.code in (None, 0)


@pytest.mark.parametrize("name", ["maml_ml1_push", "pearl_ml1_reach", "rl2_ml10", "varibad_ml45"])
def test_an_experiment_on_meta_world_evaluates(run_tiny: Callable[..., int], name: str) -> None:
    short = ["--data.env.init_args.horizon=3", "--data.evaluation.adapted_episodes=1"]
    slots = ["--data.evaluation.validation_tasks=1", "--data.evaluation.num_envs=1"]
    assert run_tiny("validate", *short, *slots, config=f"published/metaworld/{name}.yaml") == 0
