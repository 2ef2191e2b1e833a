"""Steps per second of KhazadDum with 256 sub-environments."""

from __future__ import annotations

import statistics
import sys
import time

import torch

from benchmarks.report import finish
from envs import KhazadDum

NUM_ENVS = 256
ROUNDS = 9
EPISODES = 6
LEAST_STEPS_PER_S = 400_000


def steps_per_second(env: KhazadDum, actions: torch.Tensor) -> float:
    """Environment steps per second over some episodes of random moves, resets included."""
    start = time.perf_counter()
    for _ in range(EPISODES):
        env.reset()
        for moment in actions:
            env.step(moment)
    return EPISODES * len(actions) * NUM_ENVS / (time.perf_counter() - start)


def main() -> int:
    """Measure and print the result; the exit status."""
    torch.set_num_threads(1)
    env = KhazadDum(NUM_ENVS)
    generator = torch.Generator().manual_seed(0)
    choices = torch.randint(env.meta_spec.action_dim, (env.meta_spec.horizon, NUM_ENVS), generator=generator)
    actions = torch.nn.functional.one_hot(choices, env.meta_spec.action_dim).float()
    steps_per_second(env, actions)
    speed = statistics.median(steps_per_second(env, actions) for _ in range(ROUNDS))
    return finish(
        "navigation",
        {"khazad_dum_steps_per_s": speed},
        {"khazad_dum_steps_per_s": (">=", LEAST_STEPS_PER_S)},
    )


if __name__ == "__main__":
    sys.exit(main())
