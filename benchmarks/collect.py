"""Whole HalfCheetahVel trials (policy, belief, physics, replay) against one Gymnasium environment.

Ours: 32 sub-environments. The other: Gymnasium's HalfCheetah-v5, with the same policy computing one action at a time.
Both take turns in one process.
"""

from __future__ import annotations

import statistics
import sys
import time

import gymnasium
import torch

from benchmarks.report import finish
from datamodules.collection import Collector
from datamodules.replay import TaskReplay
from datamodules.tasks import SampledTasks
from envs import HalfCheetahVel
from lit_metarl.algorithms import PEARL

NUM_ENVS, EPISODES, TURNS, SINGLE_STEPS = 32, 3, 5, 1000


def ours(agent: PEARL, collector: Collector, replay: TaskReplay, generator: torch.Generator) -> float:
    """Environment steps per second of one trial in every sub-environment, stored and kept."""
    tasks = collector.env.task_distribution.sample(NUM_ENVS, generator)
    start = time.perf_counter()
    trials = collector.collect(agent, tasks, EPISODES, generator)
    ids = torch.randint(2**62, (NUM_ENVS,), generator=generator)  # new ones
    slots = replay.assign_tasks(SampledTasks(tasks, ids), generator)
    trajectories = replay.add(trials, slots, torch.ones(EPISODES, dtype=torch.bool))
    replay.keep(trajectories, trajectories.slots)
    return trials.environment_steps / (time.perf_counter() - start)


@torch.no_grad()
def single(agent: PEARL, env: gymnasium.Env, generator: torch.Generator) -> float:
    """Environment steps per second of one Gymnasium environment under the same policy."""
    belief = agent.start_trial(1, generator)
    z = belief["z"]
    start = time.perf_counter()
    observation, _ = env.reset(seed=0)
    for _ in range(SINGLE_STEPS):
        padded = torch.zeros(1, 20)
        padded[0, :17] = torch.from_numpy(observation)
        mean, log_std = agent.policy(torch.cat((padded, z), -1))
        action = torch.tanh(mean + log_std.exp() * torch.randn(mean.shape))
        observation, *_ = env.step(action[0].numpy())
    return SINGLE_STEPS / (time.perf_counter() - start)


def main() -> int:
    generator = torch.Generator().manual_seed(0)
    collector = Collector(HalfCheetahVel(NUM_ENVS))
    agent = PEARL(collector.env.meta_spec)
    replay = TaskReplay(collector.env, slots=NUM_ENVS, capacity=200_000)
    env = gymnasium.make("HalfCheetah-v5", max_episode_steps=SINGLE_STEPS + 1)
    ours(agent, collector, replay, generator)  # warm-up
    rates = [(ours(agent, collector, replay, generator), single(agent, env, generator)) for _ in range(TURNS)]
    batched, one = (statistics.median(values) for values in zip(*rates))
    figures = {
        "over_single_gymnasium": batched / one,
        "steps_per_s": batched,
        "single_gymnasium_steps_per_s": one,
    }
    return finish("collect", figures, {"over_single_gymnasium": (">=", 5.0)})


if __name__ == "__main__":
    sys.exit(main())
