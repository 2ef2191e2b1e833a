"""The task sets of Meta-World's meta-learning benchmarks, as Meta-World itself draws them.

ML10, ML25 and ML45 with the usual seed come from a table beside this file, because drawing them compiles up to 50
scenes: `python -m envs.manipulation.benchmark_tasks` writes it anew.
"""

from __future__ import annotations

import difflib
import logging
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import metaworld
import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.errors import ConfigurationError, require
from envs.manipulation.scenes import SCENES, Numbers, compiled_scenes, replaced

BENCHMARKS: dict[str, Any] = {"ML10": metaworld.ML10, "ML25": metaworld.ML25, "ML45": metaworld.ML45}
VERSION = version("metaworld")
USUAL_SEED = 42
TABLE = Path(__file__).parent / "benchmark_tasks.npz"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskSet:
    """Tasks of one benchmark, train or test.

    Attributes:
        scenes: the scene of each task, as its number in `BenchmarkTasks.scenes`, `[tasks]`.
        variations: the random vector of each, zeros behind shorter ones, `[tasks, longest]`.
    """

    scenes: NDArray[np.int64]
    variations: Numbers


@dataclass(frozen=True)
class BenchmarkTasks:
    """A benchmark's tasks.

    Attributes:
        scenes: names of all scenes, those of training first.
        sizes: how long the random vectors of each scene are.
        train: the training tasks.
        test: the test tasks.
    """

    scenes: tuple[str, ...]
    sizes: tuple[int, ...]
    train: TaskSet
    test: TaskSet


@contextmanager
def without_physics() -> Iterator[None]:
    """Resets inside only place things: what Meta-World draws at random does not depend on how they settle."""

    def place(environment: Any, *_: Any) -> None:
        mujoco.mj_kinematics(environment.model, environment.data)

    with replaced("do_simulation", place), compiled_scenes():
        yield


def _drawn(make: Callable[[], Any]) -> BenchmarkTasks:
    """The tasks of a freshly made benchmark."""
    with without_physics():
        benchmark = make()
    pairs = [
        [(task.env_name, pickle.loads(task.data)["rand_vec"]) for task in tasks]
        for tasks in (benchmark.train_tasks, benchmark.test_tasks)
    ]
    scenes = tuple(dict.fromkeys((*benchmark.train_classes, *benchmark.test_classes)))
    sizes = {name: len(variation) for name, variation in (*pairs[0], *pairs[1])}
    longest = max(sizes.values())
    sets = []
    for tasks in pairs:
        variations = np.zeros((len(tasks), longest))
        for row, (_, variation) in zip(variations, tasks):
            row[: len(variation)] = variation
        sets.append(TaskSet(np.array([scenes.index(name) for name, _ in tasks]), variations))
    return BenchmarkTasks(scenes, tuple(sizes[name] for name in scenes), *sets)


def _check_seed(seed: int) -> None:
    require(0 <= seed < 2**32 - 1, "task_seed", seed, "it must fit into 32 bits", "Use 42.")


@lru_cache(maxsize=32)
def tasks_of_scene(scene: str, seed: int) -> BenchmarkTasks:
    """The tasks of ML1 on a scene: 50 to train on, 50 others to test.

    Raises:
        ConfigurationError: if there is no such scene, naming the nearest.
    """
    _check_seed(seed)
    if scene not in SCENES:
        near = difflib.get_close_matches(scene, SCENES, 3, 0.4) or SCENES
        raise ConfigurationError(
            "task",
            scene,
            f"Meta-World {VERSION} has no task of that name",
            f"Near are: {', '.join(near)}.",
        )
    return _drawn(partial(metaworld.ML1, scene, seed=seed))


@lru_cache(maxsize=8)
def tasks_of_benchmark(name: str, seed: int) -> BenchmarkTasks:
    """The tasks of ML10, ML25 or ML45: 50 of every scene."""
    _check_seed(seed)
    if seed == USUAL_SEED:
        with np.load(TABLE) as table:
            if str(table["version"]) == VERSION:
                parts = {part: table[f"{name}/{part}"] for part in ("scenes", "sizes")}
                sets = [
                    TaskSet(table[f"{name}/{split}_scenes"], table[f"{name}/{split}_variations"])
                    for split in ("train", "test")
                ]
                scenes = tuple(str(scene) for scene in parts["scenes"])
                return BenchmarkTasks(scenes, tuple(int(size) for size in parts["sizes"]), *sets)
    log.info("Drawing the tasks of %s with seed %d, which takes up to a minute.", name, seed)
    return _drawn(partial(BENCHMARKS[name], seed=seed))


def own_test_environments(benchmark: str, seed: int, num_envs: int, tasks_per_scene: int, **arguments: Any) -> Any:
    """Meta-World's own vector of test environments, one after the other in this process.

    Args:
        benchmark: ML10, ML25, ML45, or the scene of ML1.
        seed: seed that Meta-World draws the tasks with.
        num_envs: environments, the same number for every test scene.
        tasks_per_scene: test tasks used of every scene.
        **arguments: further ones of Meta-World's environments.
    """
    with without_physics():
        return metaworld.make_ml_envs_test(
            benchmark, seed=seed, meta_batch_size=num_envs, total_tasks_per_cls=tasks_per_scene, **arguments
        )


def main() -> int:
    """Write the table; the exit status."""
    content: dict[str, Any] = {"version": np.array(VERSION)}
    for name, benchmark in BENCHMARKS.items():
        tasks = _drawn(partial(benchmark, seed=USUAL_SEED))
        content[f"{name}/scenes"], content[f"{name}/sizes"] = np.array(tasks.scenes), np.array(tasks.sizes)
        for split, chosen in (("train", tasks.train), ("test", tasks.test)):
            content[f"{name}/{split}_scenes"] = chosen.scenes
            content[f"{name}/{split}_variations"] = chosen.variations
    np.savez_compressed(TABLE, **content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
