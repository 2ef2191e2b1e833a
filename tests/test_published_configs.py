"""Every published experiment, and every one for two cores, builds and runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lit_metarl import cli
from tests.conftest import TINY

CONFIGS = Path(__file__).parent.parent / "configs"
RUNNING = ("ant_goal", "ant_vel", "cheetah_highdim", "cheetah_vel", "cheetah_vel_sparse", "four_corners")
RELABELING = [
    *(("pearl", name) for name in RUNNING),
    *(("pearl", "sawyer", name) for name in ("sawyer_push", "sawyer_reach")),
    ("pearl", "four_corners", "four_corners_cpu"),
]
"""HFR's experiments, by the files that each is composed of."""
TWO_CORES = sorted(str(path.relative_to(CONFIGS)) for path in (CONFIGS / "two_cores").glob("*.yaml"))


SIZES = ["--data.evaluation.adapted_episodes=1", "--data.collection.adapted_context_episodes=0"]


@pytest.mark.parametrize("config", TWO_CORES)
def test_an_experiment_builds_and_evaluates(run_tiny: Callable[..., int], config: str) -> None:
    assert run_tiny("validate", *SIZES, config=config) == 0


def composed(folder: str, *parts: str) -> list[str]:
    """Arguments that add parts to the first file of an experiment, and then make it tiny again."""
    return [*(f"--config={CONFIGS / 'published' / folder / part}.yaml" for part in parts), *TINY]


@pytest.mark.parametrize("parts", RELABELING, ids=lambda parts: parts[-1])
def test_an_experiment_of_hfr_builds_and_evaluates(run_tiny: Callable[..., int], parts: tuple[str, ...]) -> None:
    first, *more = parts
    assert run_tiny("validate", *composed("hfr", *more), *SIZES, config=f"published/hfr/{first}.yaml") == 0


def test_every_file_of_hfr_belongs_to_an_experiment() -> None:
    files = {path.stem for path in (CONFIGS / "published" / "hfr").glob("*.yaml")}
    assert files == {part for parts in RELABELING for part in parts}


def test_every_experiment_of_hfr_has_a_variant_for_two_cores() -> None:
    experiments = {parts[-1].removesuffix("_cpu") for parts in RELABELING}
    assert experiments <= {Path(config).stem for config in TWO_CORES}


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
    arguments = [*composed("hfr", "four_corners"), *sizes, *small]
    assert run_tiny("fit", *arguments, config="published/hfr/pearl.yaml") == 0


META_WORLD = CONFIGS / "published" / "metaworld"


BENCHMARKS = ("ml1_reach", "ml1_push", "ml10", "ml45")
ON_META_WORLD = [
    *(("pearl", f"pearl_{benchmark}") for benchmark in BENCHMARKS),
    *((algorithm, benchmark) for algorithm in ("maml", "rl2", "varibad") for benchmark in BENCHMARKS[:3]),
    *((algorithm, "ml45", f"{algorithm}_ml45") for algorithm in ("maml", "rl2", "varibad")),
]
"""The experiments on Meta-World, by the files that each is composed of."""


def test_every_file_of_meta_world_belongs_to_an_experiment() -> None:
    assert {path.stem for path in META_WORLD.glob("*.yaml")} == {part for parts in ON_META_WORLD for part in parts}


@pytest.mark.parametrize("parts", ON_META_WORLD, ids="+".join)
def test_an_experiment_on_meta_world_is_understood(parts: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["fit", *(f"--config={META_WORLD / file}.yaml" for file in parts), "--print_config"])
    assert ended.value.code in (None, 0)


@pytest.mark.parametrize(
    "parts",
    [("maml", "ml1_push"), ("pearl", "pearl_ml1_reach"), ("rl2", "ml10"), ("varibad", "ml45", "varibad_ml45")],
    ids="+".join,
)
def test_an_experiment_on_meta_world_evaluates(run_tiny: Callable[..., int], parts: tuple[str, ...]) -> None:
    short = ["--data.env.init_args.horizon=3", "--data.evaluation.adapted_episodes=1"]
    slots = ["--data.evaluation.validation_tasks=1", "--data.evaluation.num_envs=1"]
    first, *more = parts
    arguments = [*composed("metaworld", *more), *short, *slots]
    assert run_tiny("validate", *arguments, config=f"published/metaworld/{first}.yaml") == 0
