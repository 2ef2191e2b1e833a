"""Resident memory of a million HalfCheetahVel transitions, every trajectory of which was relabeled once."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tensordict import TensorDict

from benchmarks.report import finish
from datamodules.collection import Trials
from datamodules.replay import TaskReplay
from envs import HalfCheetahVel

TASKS, EPISODES, TRANSITIONS = 100, 5, 1_000_000


def resident_mb() -> float:
    """Resident memory of this process, megabytes (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6


def collect(replay: TaskReplay, generator: torch.Generator) -> None:
    """One trial a task with made-up states, relabeled for tasks drawn at random."""
    shape = (TASKS, EPISODES, replay.env.meta_spec.horizon)
    meta_spec = replay.env.meta_spec
    sizes = {
        "observation": meta_spec.observation_dim,
        "action": meta_spec.action_dim,
        "next_observation": meta_spec.observation_dim,
        "features": meta_spec.feature_dim,
    }
    steps = {name: torch.randn(*shape, size, generator=generator) for name, size in sizes.items()}
    steps["valid"] = torch.ones(shape, dtype=torch.bool)
    trials = Trials(replay.tasks, TensorDict(steps, list(shape)), None, 2)
    replay.begin_iteration()
    trajectories = replay.add(trials, torch.arange(TASKS), torch.ones(EPISODES, dtype=torch.bool))
    replay.keep(trajectories, torch.randint(TASKS, trajectories.slots.shape, generator=generator))


def main() -> int:
    env = HalfCheetahVel(1)
    generator = torch.Generator().manual_seed(0)
    warm_up = TaskReplay(env, TASKS, 2 * TASKS * EPISODES * env.meta_spec.horizon)
    collect(warm_up, generator)
    del warm_up
    before = resident_mb()
    replay = TaskReplay(env, TASKS, TRANSITIONS)
    while replay.store.written < TRANSITIONS:
        collect(replay, generator)
    figures = {"million_transitions_mb": resident_mb() - before}
    return finish("replay", figures, {"million_transitions_mb": ("<=", 300.0)})


if __name__ == "__main__":
    sys.exit(main())
