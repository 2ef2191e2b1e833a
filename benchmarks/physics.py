"""Steps per second of the MuJoCo environments, against Gymnasium's vector environments and against bare MuJoCo.

All with 32 simulations of the same model and uniformly random actions, in one process, taking turns: first
ours and the limit, then ours and Gymnasium's. In every turn each contender resets all its sub-environments and
makes the same number of steps, so that all spend the same time standing, falling and lying.
The limit is `mj_step` on every core with no Python around it: one long open-loop rollout of all simulations.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from mujoco.rollout import Rollout

from benchmarks.report import finish
from envs import AntGoal, HalfCheetahVel, HumanoidVel
from envs.cores import usable_cores
from envs.locomotion.mujoco_env import MujocoEnv

NUM_ENVS = 32
ROUNDS, GYMNASIUM_ROUNDS = 40, 5
Turn = Callable[[int], float]  # makes that many steps of all sub-environments; the seconds they took


@dataclass(frozen=True)
class Case:
    """Our environment and Gymnasium's of the same robot.

    Attributes:
        env_class: makes our environment of that many sub-environments.
        gymnasium_id: Gymnasium's environment.
        least_over_gymnasium: target for our speed over that of Gymnasium's faster vector environment.
        least_of_limit: target for our speed as a share of bare MuJoCo's.
        steps: steps of all sub-environments in a turn.
        arguments: arguments of Gymnasium's environment.
    """

    env_class: Callable[[int], MujocoEnv]
    gymnasium_id: str
    least_over_gymnasium: float
    least_of_limit: float
    steps: int
    arguments: dict[str, Any] = field(default_factory=dict)


ON_AND_ON = {"terminate_when_unhealthy": False}
CASES = {
    "half_cheetah": Case(HalfCheetahVel, "HalfCheetah-v5", 2.0, 0.75, 100),
    "ant": Case(AntGoal, "Ant-v5", 1.2, 0.85, 50, ON_AND_ON),
    "humanoid": Case(partial(HumanoidVel, contact_forces=True), "Humanoid-v5", 1.2, 0.85, 50, ON_AND_ON),
}


def env_turn(env: MujocoEnv) -> Turn:
    """Our batched environment; sub-environments are reset where their episodes end."""
    generator = torch.Generator().manual_seed(0)

    def turn(steps: int) -> float:
        env.reset()
        unit = torch.rand(steps, NUM_ENVS, env.meta_spec.action_dim, generator=generator)
        actions = env.action_low + (env.action_high - env.action_low) * unit
        start = time.perf_counter()
        for moment in actions.unbind():
            env.step(moment)
            if not env._running.all():
                env.reset(options={"reset_mask": ~env._running})
        return time.perf_counter() - start

    return turn


def gymnasium_turn(vector: gymnasium.vector.VectorEnv[Any, Any, Any]) -> Turn:
    """One of Gymnasium's vector environments."""

    def turn(steps: int) -> float:
        vector.reset()
        actions = [vector.action_space.sample() for _ in range(steps)]
        start = time.perf_counter()
        for moment in actions:
            vector.step(moment)
        return time.perf_counter() - start

    return turn


def limit_turn(env: MujocoEnv, threads: int) -> Turn:
    """Bare `mj_step` in every core's own thread."""
    model, substeps = env._physics.model, env._physics.substeps
    size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)
    data = [mujoco.MjData(model) for _ in range(threads)]
    rollout = Rollout(nthread=threads)
    low, high = model.actuator_ctrlrange.T
    generator = np.random.default_rng(0)

    def turn(steps: int) -> float:
        env.reset()
        controls = generator.uniform(low, high, (NUM_ENVS, steps, model.nu)).repeat(substeps, 1)
        states = np.ascontiguousarray(env._state[:, :size])
        start = time.perf_counter()
        rollout.rollout(model, data, states, controls)
        return time.perf_counter() - start

    return turn


def race(turns: dict[str, Turn], steps: int, rounds: int) -> list[dict[str, float]]:
    """Steps per second of every contender in every round; every other round runs them in reverse order."""
    for turn in turns.values():
        turn(2)
    order, found = list(turns.items()), []
    for _ in range(rounds):
        found.append({name: NUM_ENVS * steps / turn(steps) for name, turn in order})
        order.reverse()
    return found


def measure(case: Case, threads: int) -> dict[str, float]:
    """Median speeds of all contenders, steps per second, and medians of our ratios to them within a round."""
    env = env_turn(case.env_class(NUM_ENVS))
    # First without Gymnasium's 32 processes: they take from the caches even when they wait.
    bare = race({"ours": env, "limit": limit_turn(case.env_class(NUM_ENVS), threads)}, case.steps, ROUNDS)
    make = [lambda: gymnasium.make(case.gymnasium_id, **case.arguments)] * NUM_ENVS
    vectors = {"sync": SyncVectorEnv(make), "async": AsyncVectorEnv(make)}
    turns = {name: gymnasium_turn(vector) for name, vector in vectors.items()}
    others = race({"ours": env, **turns}, case.steps, GYMNASIUM_ROUNDS)
    for vector in vectors.values():
        vector.close()
    return {
        **{f"{name}_steps_per_s": statistics.median(each[name] for each in bare) for name in bare[0]},
        **{f"{name}_steps_per_s": statistics.median(each[name] for each in others) for name in turns},
        "of_limit": statistics.median(each["ours"] / each["limit"] for each in bare),
        "over_gymnasium": statistics.median(each["ours"] / max(each["sync"], each["async"]) for each in others),
    }


def main() -> int:
    """Measure all cases and print the result; the exit status."""
    torch.set_num_threads(1)
    threads = usable_cores()
    figures: dict[str, float] = {}
    targets: dict[str, tuple[str, float]] = {}
    for name, case in CASES.items():
        figures |= {f"{name}_{key}": value for key, value in measure(case, threads).items()}
        targets[f"{name}_over_gymnasium"] = (">=", case.least_over_gymnasium)
        targets[f"{name}_of_limit"] = (">=", case.least_of_limit)
    return finish("physics", figures, targets)


if __name__ == "__main__":
    sys.exit(main())
