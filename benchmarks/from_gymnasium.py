"""Steps per second of 16 Pendulums through `envs.FromGymnasium`, against Gymnasium's own vector environments.

The contenders take turns of a few steps each, resets not counted, and their medians are compared.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import gymnasium
import torch

from benchmarks.report import finish
from envs import FromGymnasium
from envs.task_distributions import UniformBox

NUM_ENVS, STEPS, ROUNDS = 16, 10, 300
LEAST_OVER_GYMNASIUM = 0.8


def turn(env: Any, actions: list[Any]) -> list[float]:
    """The seconds that each step of all sub-environments took, the first after the reset left out."""
    env.reset()
    env.step(actions[0])
    durations = []
    for moment in actions:
        start = time.perf_counter()
        env.step(moment)
        durations.append(time.perf_counter() - start)
    return durations


def main() -> int:
    """Measure and print the result; the exit status."""
    torch.set_num_threads(1)
    ours = FromGymnasium(
        NUM_ENVS, env="Pendulum-v1", task_attributes=["unwrapped.g"], task_distribution=UniformBox([5.0], [15.0])
    )
    contenders = {
        "ours": ours,
        "sync": gymnasium.make_vec("Pendulum-v1", NUM_ENVS, "sync"),
        "async": gymnasium.make_vec("Pendulum-v1", NUM_ENVS, "async"),
    }
    arrays = [contenders["sync"].action_space.sample() for _ in range(STEPS)]
    tensors = [torch.from_numpy(array) for array in arrays]
    durations: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, env in contenders.items():
            durations[name] += turn(env, tensors if name == "ours" else arrays)
    contenders["async"].close()
    speeds = {name: NUM_ENVS / statistics.median(each) for name, each in durations.items()}
    return finish(
        "from_gymnasium",
        {
            **{f"{name}_steps_per_s": speed for name, speed in speeds.items()},
            "over_gymnasium": speeds["ours"] / max(speeds["sync"], speeds["async"]),
        },
        {"over_gymnasium": (">=", LEAST_OVER_GYMNASIUM)},
    )


if __name__ == "__main__":
    sys.exit(main())
