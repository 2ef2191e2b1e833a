"""A few steps before anything runs, which find what is wrong with an environment of the user's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.base import Reward
from envs.errors import ConfigurationError, ContractError, require
from envs.from_gymnasium.spaces import Numbers
from envs.from_gymnasium.sub_environment import OUTCOME, Plan, SubEnvironment

ComputeRewards = Callable[[Tensor, Tensor], Reward]
STEPS = 5
TOLERANCE = 1e-3
"""Largest difference between a recorded and a recomputed reward: absolute, and relative to the recorded one."""


def rehearse(plan: Plan, actions: Tensor, tasks: Tensor, compute: ComputeRewards | None) -> float:
    """Run two environments under different tasks, with the same seed and the same actions.

    Returns:
        The shortest time of a step, s.

    Args:
        plan: how they are made.
        actions: `[steps, action_dim]`, as `MetaEnv._simulate` takes them.
        tasks: two of them, `[2, task_dim]`.
        compute: rewards under any task, so that tasks must change nothing else; None where rewards are recorded.

    Raises:
        ConfigurationError: if one of them raises an exception, both are one object, a number is not finite, the reward
            function disagrees with the environment, or a task changes what it must not.
    """
    name, pair = plan.factory.name, (SubEnvironment(plan), SubEnvironment(plan))
    (first, duration), (second, _) = (_run(env, plan, actions, task.tolist()) for env, task in zip(pair, tasks))
    require(
        pair[0].env.unwrapped is not pair[1].env.unwrapped,
        "env",
        name,
        "it gave the same environment twice",
        "Let it make a new one at every call.",
    )
    for env in pair:
        env.close()
    steps, size = min(len(first), len(second)), plan.observations.dim
    if compute is not None:
        for task, rows in zip(tasks, (first, second)):
            features = torch.from_numpy(rows[1:, size + 1 :].astype(np.float32))
            refuse_disagreement(name, compute, features, task.expand(len(features), -1))
    first, second = first[:steps, :size], second[:steps, :size]
    if compute is not None and not np.array_equal(first, second):
        step, number = np.argwhere(first != second)[0].tolist()
        raise ConfigurationError(
            "env",
            name,
            f"relabeling would be wrong, because its tasks change more than the reward: after the same seed and the "
            f"same {step} actions, number {number} of the observation is {first[step, number]:.6g} under "
            f"{tasks[0].tolist()} and {second[step, number]:.6g} under {tasks[1].tolist()}",
            "If the dynamics differ, leave reward, features and feature_names out; if the observation shows the task, "
            "hide it.",
        )
    return duration


def _run(env: SubEnvironment, plan: Plan, actions: Tensor, task: list[float]) -> tuple[Numbers, float]:
    """Rows of an episode's first steps, `[steps + 1, width]`, the first an observation only; s of the shortest step."""
    name, row = plan.factory.name, np.zeros(plan.width)
    rows, method, durations = [row.copy()], "reset", []
    try:
        rows[0][: plan.observations.dim] = env.start(task, seed=0)
        for action in plan.actions.decode(plan.actions.encode(actions)):
            method, start = "step", time.perf_counter()
            env.step(action, row)
            durations.append(time.perf_counter() - start)
            rows.append(row.copy())
            if row[plan.observations.dim] or row[plan.observations.dim + 2]:
                break
    except ConfigurationError:
        raise
    except Exception as error:  # whatever the user's class raises
        raise ConfigurationError(
            "env",
            name,
            f"under the task {task}, its {method} raises {type(error).__name__}: {error}",
            "Correct the environment, or how its task is set.",
        ) from error
    refuse_infinite(name, np.array(rows), plan, [task] * len(rows))
    return np.array(rows), min(durations)


def refuse_infinite(name: str, rows: NDArray[np.floating[Any]], plan: Plan, tasks: list[list[float]]) -> None:
    """Refuse `rows` `[n, width]` with numbers that are not finite.

    Raises:
        ContractError: naming what it is, and the task.
    """
    if np.isfinite(rows).all():
        return
    row, column = np.argwhere(~np.isfinite(rows))[0].tolist()
    after = ("observation",) * plan.observations.dim + OUTCOME + plan.feature_names
    raise ContractError(
        f"{name}, as `{after[column]}`,",
        f"{rows[row, column]} under the task {tasks[row]}",
        "finite numbers",
    )


def refuse_disagreement(name: str, compute: ComputeRewards, features: Tensor, tasks: Tensor) -> None:
    """Refuse a reward function that gives another reward than was recorded.

    Args:
        name: of the environment.
        compute: the environment's reward function.
        features: `[n, feature_dim]`, which begin with the recorded reward and whether the episode terminated.
        tasks: that they were recorded under, `[n, task_dim]`.

    Raises:
        ContractError: with both numbers.
    """
    recomputed = compute(features, tasks)
    recorded = features[:, 0]
    apart = (recomputed.reward - recorded).abs() > TOLERANCE * (1.0 + recorded.abs())
    ended = recomputed.terminated != (features[:, 1] > 0)
    for wrong, what, given, expected in (
        (apart, "reward", recomputed.reward, recorded),
        (ended, "terminated", recomputed.terminated, features[:, 1] > 0),
    ):
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0, 0])
            raise ContractError(
                f"the reward function for {name}, as `{what}`,",
                f"{given[row].item():.6g}" if what == "reward" else str(given[row].item()),
                f"what the environment gave, {expected[row].item():.6g}, under the task {tasks[row].tolist()} with "
                f"the features {features[row, 2:].tolist()}",
            )


def random_actions(low: Tensor, high: Tensor, steps: int) -> Tensor:
    """Uniformly random actions within the bounds, the same ones every time, `[steps, action_dim]`."""
    generator = torch.Generator().manual_seed(0)
    return low + (high - low) * torch.rand(steps, len(low), generator=generator)
