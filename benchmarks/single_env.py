"""An episode of a PEARL agent in a single HalfCheetahVel, against the same steps written plainly.

Ours: `Collector` with one sub-environment, in trials of three episodes, beliefs and record included. The other: 200
steps of Gymnasium's HalfCheetah-v5 under the same policy, and nothing else. They take turns in one process.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import gymnasium
import torch

from benchmarks.report import finish
from datamodules.collection import Collector
from envs import HalfCheetahVel
from lit_metarl.algorithms import PEARL

EPISODES, TURNS = 3, 15


def ours(agent: PEARL, collector: Collector, generator: torch.Generator) -> float:
    """Seconds an episode of one trial."""
    tasks = collector.env.task_distribution.sample(1, generator)
    start = time.perf_counter()
    collector.collect(agent, tasks, EPISODES, generator)
    return (time.perf_counter() - start) / EPISODES


@torch.no_grad()
def plain(agent: PEARL, env: gymnasium.Env[Any, Any], generator: torch.Generator) -> float:
    """Seconds of as many steps, written plainly."""
    z = torch.randn(1, agent.latent_dim, generator=generator)
    start = time.perf_counter()
    observation, _ = env.reset(seed=0)
    for _ in range(agent.meta_spec.horizon):
        padded = torch.zeros(1, agent.meta_spec.observation_dim)
        padded[0, : len(observation)] = torch.from_numpy(observation)
        mean, log_std = agent.policy(torch.cat((padded, z), -1))
        action = torch.tanh(mean + log_std.exp() * torch.randn(mean.shape, generator=generator))
        observation, *_ = env.step(action[0].numpy())
    return time.perf_counter() - start


def main() -> int:
    """Measure and print the result; the exit status."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    collector = Collector(HalfCheetahVel(1, threads=1))
    agent = PEARL(collector.env.meta_spec)
    env = gymnasium.make("HalfCheetah-v5")
    ours(agent, collector, generator)  # warm-up
    seconds = [(ours(agent, collector, generator), plain(agent, env, generator)) for _ in range(TURNS)]
    own, other = (statistics.median(values) for values in zip(*seconds))
    figures = {"over_plain": other / own, "episode_ms": 1e3 * own, "plain_ms": 1e3 * other}
    return finish("single_env", figures, {"over_plain": (">=", 1.0)})


if __name__ == "__main__":
    sys.exit(main())
