"""Steps a second of Meta-World's worlds: 10 copies at once against one environment of Meta-World itself.

ML1 on reach-v3, and ML10 with ten different scenes; uniformly random actions, the rivals taking turns. Threads over
the same scenes are measured beside them: half of a step is Python, so they gain less.
"""

from __future__ import annotations

import itertools
import pickle
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import metaworld
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.report import finish
from envs import ML1, ML10
from envs.cores import usable_cores
from envs.manipulation.hosts import LocalHost
from envs.manipulation.meta_world import MetaWorld

COPIES = 10
STEPS = 60
ROUNDS = 5
LEAST_OVER_SINGLE = 1.7
Turn = Callable[[NDArray[np.float32]], float]  # makes the steps of actions `[steps, copies, 4]`; seconds they took


def world_turn(world: MetaWorld) -> Turn:
    """All copies of a world at once."""
    tasks: Any = world.task_distribution
    world.set_tasks(tasks.tasks[:: len(tasks.tasks) // COPIES])  # of ML10, one of every scene

    def turn(actions: NDArray[np.float32]) -> float:
        world.restart()
        start = time.perf_counter()
        for moment in torch.from_numpy(actions):
            world.advance(moment)
        return time.perf_counter() - start

    return turn


def single_turn(world: MetaWorld) -> Turn:
    """Meta-World's own environments of the world's tasks, one after the other."""
    environments = []
    for assignment in world._assignments(range(COPIES)):
        environment = metaworld.ALL_V3_ENVIRONMENTS[assignment.scene]()
        data = {"rand_vec": assignment.variation, "env_cls": type(environment), "partially_observable": True}
        environment.set_task(metaworld.Task(assignment.scene, pickle.dumps(data)))
        environments.append(environment)

    def turn(actions: NDArray[np.float32]) -> float:
        for environment in environments:
            environment.reset()
        start = time.perf_counter()
        for copy, environment in enumerate(environments):
            for action in actions[:, copy]:
                environment.step(action)
        return time.perf_counter() - start

    return turn


def thread_turn(world: MetaWorld, threads: int) -> Turn:
    """The world's scenes in threads of this process."""
    host, keys = LocalHost(), [(-1, copy) for copy in range(COPIES)]
    assignments = world._assignments(range(COPIES))
    pool = ThreadPoolExecutor(threads)
    shares = [range(thread, COPIES, threads) for thread in range(threads)]

    def step(share: range, moment: NDArray[np.float32]) -> None:
        host.step([keys[copy] for copy in share], moment[list(share)])

    def turn(actions: NDArray[np.float32]) -> float:
        host.start(keys, assignments)
        start = time.perf_counter()
        for moment in actions:
            list(pool.map(step, shares, itertools.repeat(moment)))
        return time.perf_counter() - start

    return turn


def measure(world: MetaWorld, cores: int) -> dict[str, float]:
    """Median speeds of the rivals, steps a second, and medians of the ratios within a round."""
    turns = {"world": world_turn(world)}
    generator = np.random.default_rng(0)
    turns["world"](generator.uniform(-1.0, 1.0, (2, COPIES, 4)).astype(np.float32))
    turns |= {"single": single_turn(world), "threads": thread_turn(world, cores)}
    rounds = []
    for _ in range(ROUNDS):
        actions = generator.uniform(-1.0, 1.0, (STEPS, COPIES, 4)).astype(np.float32)
        rounds.append({name: COPIES * STEPS / turn(actions) for name, turn in turns.items()})
    return {
        **{f"{name}_steps_per_s": statistics.median(each[name] for each in rounds) for name in turns},
        "over_single": statistics.median(each["world"] / each["single"] for each in rounds),
        "threads_over_single": statistics.median(each["threads"] / each["single"] for each in rounds),
    }


def main() -> int:
    """Measure both worlds and print the result; the exit status."""
    torch.set_num_threads(1)
    cores = usable_cores()
    figures = measure(ML1(COPIES), cores)
    figures |= {f"ml10_{name}": value for name, value in measure(ML10(COPIES), cores).items()}
    return finish("metaworld", figures, {"over_single": (">=", LEAST_OVER_SINGLE)})


if __name__ == "__main__":
    sys.exit(main())
