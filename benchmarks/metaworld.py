"""Steps a second of Meta-World's environments: 10 copies at once against one environment of Meta-World itself.

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

import numpy as np
import torch
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.types import Task
from numpy.typing import NDArray

from benchmarks.report import finish
from envs import ML1, ML10
from envs.cores import usable_cores
from envs.manipulation.hosts import LocalHost
from envs.manipulation.meta_world import MetaWorld

NUM_ENVS = 10
STEPS = 60
ROUNDS = 5
LEAST_OVER_SINGLE = 1.7
Turn = Callable[
    [NDArray[np.float32]], float
]  # makes the steps of actions `[steps, num_envs, 4]`; the seconds they took


def env_turn(env: MetaWorld) -> Turn:
    """All sub-environments at once."""
    tasks: Any = env.task_distribution
    env.set_tasks(tasks.tasks[:: len(tasks.tasks) // NUM_ENVS])  # of ML10, one of every scene

    def turn(actions: NDArray[np.float32]) -> float:
        env.reset()
        start = time.perf_counter()
        for moment in torch.from_numpy(actions):
            env.step(moment)
        return time.perf_counter() - start

    return turn


def single_turn(env: MetaWorld) -> Turn:
    """Meta-World's own environments of the same tasks, one after the other."""
    environments = []
    for assignment in env._assignments(range(NUM_ENVS)):
        environment = ALL_V3_ENVIRONMENTS[assignment.scene]()
        data = {"rand_vec": assignment.variation, "env_cls": type(environment), "partially_observable": True}
        environment.set_task(Task(assignment.scene, pickle.dumps(data)))
        environments.append(environment)

    def turn(actions: NDArray[np.float32]) -> float:
        for environment in environments:
            environment.reset()
        start = time.perf_counter()
        for env_id, environment in enumerate(environments):
            for action in actions[:, env_id]:
                environment.step(action)
        return time.perf_counter() - start

    return turn


def thread_turn(env: MetaWorld, threads: int) -> Turn:
    """The environment's scenes in threads of this process."""
    host, keys = LocalHost(), [(-1, env_id) for env_id in range(NUM_ENVS)]
    assignments = env._assignments(range(NUM_ENVS))
    pool = ThreadPoolExecutor(threads)
    shares = [range(thread, NUM_ENVS, threads) for thread in range(threads)]

    def step(share: range, moment: NDArray[np.float32]) -> None:
        host.step([keys[env_id] for env_id in share], moment[list(share)])

    def turn(actions: NDArray[np.float32]) -> float:
        host.start(keys, assignments)
        start = time.perf_counter()
        for moment in actions:
            list(pool.map(step, shares, itertools.repeat(moment)))
        return time.perf_counter() - start

    return turn


def measure(env: MetaWorld, cores: int) -> dict[str, float]:
    """Median speeds of the rivals, steps a second, and medians of the ratios within a round."""
    turns = {"ours": env_turn(env)}
    generator = np.random.default_rng(0)
    turns["ours"](generator.uniform(-1.0, 1.0, (2, NUM_ENVS, 4)).astype(np.float32))
    turns |= {"single": single_turn(env), "threads": thread_turn(env, cores)}
    rounds = []
    for _ in range(ROUNDS):
        actions = generator.uniform(-1.0, 1.0, (STEPS, NUM_ENVS, 4)).astype(np.float32)
        rounds.append({name: NUM_ENVS * STEPS / turn(actions) for name, turn in turns.items()})
    return {
        **{f"{name}_steps_per_s": statistics.median(each[name] for each in rounds) for name in turns},
        "over_single": statistics.median(each["ours"] / each["single"] for each in rounds),
        "threads_over_single": statistics.median(each["threads"] / each["single"] for each in rounds),
    }


def main() -> int:
    """Measure both environments and print the result; the exit status."""
    torch.set_num_threads(1)
    cores = usable_cores()
    figures = measure(ML1(NUM_ENVS), cores)
    figures |= {f"ml10_{name}": value for name, value in measure(ML10(NUM_ENVS), cores).items()}
    return finish("metaworld", figures, {"over_single": (">=", LEAST_OVER_SINGLE)})


if __name__ == "__main__":
    sys.exit(main())
