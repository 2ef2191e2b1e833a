"""Every published experiment is one file that builds and runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

CONFIGS = Path(__file__).parent.parent / "configs"
RELABELING = sorted(str(path.relative_to(CONFIGS)) for path in (CONFIGS / "published" / "hfr").glob("*.yaml"))
ON_POLICY = sorted(
    str(path.relative_to(CONFIGS))
    for folder in ("varibad", "maml")
    for path in (CONFIGS / "published" / folder).glob("*.yaml")
)


@pytest.mark.parametrize("config", [*RELABELING, *ON_POLICY])
def test_a_published_experiment_builds_and_evaluates(run_tiny: Callable[..., int], config: str) -> None:
    sizes = ["--data.evaluation.adapted_episodes=1", "--data.collection.adapted_context_episodes=0"]
    assert run_tiny("validate", *sizes, config=config) == 0


def test_every_experiment_of_the_paper_has_a_variant_for_two_cores() -> None:
    names = {Path(config).stem for config in RELABELING}
    full = {name for name in names if not name.endswith("_cpu")}
    assert full == {"ant_goal", "ant_vel", "cheetah_highdim", "cheetah_vel", "cheetah_vel_sparse", "four_corners"}
    assert names - full == {f"{name}_cpu" for name in full}


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
