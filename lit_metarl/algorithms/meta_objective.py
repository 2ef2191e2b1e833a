"""MAML's outer objective: what the parameters are worth that inner steps lead to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from tensordict import TensorDict
from torch import Tensor

from lit_metarl.adaptation import Parameters, for_every_task
from lit_metarl.losses import ppo

if TYPE_CHECKING:
    from lit_metarl.algorithms.maml import MAML


class Steps(NamedTuple):
    """What the policy is changed by: all steps of some episodes of every task; the first dimensions are `[tasks, n]`.

    Attributes:
        inputs: of the policy.
        raw_action: the action as drawn, before it was bounded.
        advantage: with mean 0 and deviation 1 over a task's steps.
        counts: 1 for a step that exists, 0 for padding.
    """

    inputs: Tensor
    raw_action: Tensor
    advantage: Tensor
    counts: Tensor


class MetaObjective:
    """The outer objective on collected trials: how well a task's steps go under what θ adapts to.

    Inner steps learn from the reward that the task really pays, as they do while a trial runs; the outer
    objective counts the (possibly shaped) reward.

    Args:
        algorithm: the agent that ran the trials, as it was then.
        steps: of the trials, batch shape `[tasks, episodes, time]`.
    """

    def __init__(self, algorithm: MAML, steps: TensorDict) -> None:
        self._algorithm = algorithm
        self._tasks = len(steps)
        per_step, explored = algorithm.episodes_per_step, algorithm.exploration_episodes
        self._inner = [
            self._steps(steps[:, first : first + per_step], "sparse_reward") for first in range(0, explored, per_step)
        ]
        self._outer = self._steps(steps[:, explored:], "reward")
        self._acted: list[Tensor] = []  # distributions that the actions were drawn from, by inner step
        with torch.no_grad():
            parameters = for_every_task(dict(algorithm.policy.named_parameters()), self._tasks)
            for inner in self._inner:
                parameters, acted = algorithm.inner_step(parameters, inner)
                self._acted.append(acted)
            self._outer_acted = algorithm.policy.with_parameters(parameters, self._outer.inputs)
            actions = algorithm.policy.actions
            self._log_probability = actions.log_probability(self._outer_acted, self._outer.raw_action)
            self.entropy = task_means(actions.entropy(self._outer_acted), self._outer.counts).mean()
        self.behavior = parameters
        """The adapted parameters of the trials, `[tasks, ...]` each."""

    def _steps(self, steps: TensorDict, reward: str) -> Steps:
        raw_action = steps.get("raw_action", steps["action"])
        return self._algorithm.steps_to_learn_from(steps["observation"], raw_action, steps[reward], steps["valid"])

    def adapt(self, theta: Mapping[str, Tensor]) -> Parameters:
        """The policy of every task that the inner steps lead to from `theta`, `[tasks, ...]` each."""
        parameters = for_every_task(theta, self._tasks)
        for inner, acted in zip(self._inner, self._acted):
            parameters, _ = self._algorithm.inner_step(parameters, inner, acted)
        return parameters

    def evaluate(self, theta: Mapping[str, Tensor], clip: float | None = None) -> tuple[Tensor, Tensor]:
        """Loss of `theta`, and the mean KL from the adapted policies that acted to those it adapts to.

        Both are means over the tasks, in which every task counts the same: here, and nowhere else, the
        tasks of a process come together.

        Args:
            theta: the policy's parameters.
            clip: ε of the clipped objective; None does not clip.
        """
        actions, steps = self._algorithm.policy.actions, self._outer
        distribution = self._algorithm.policy.with_parameters(self.adapt(theta), steps.inputs)
        log_ratio = actions.log_probability(distribution, steps.raw_action) - self._log_probability
        if clip is None:
            losses = -log_ratio.exp() * steps.advantage
        else:
            losses = ppo.policy_loss(log_ratio, steps.advantage, clip)
        kl = actions.kl(self._outer_acted, distribution)
        return task_means(losses, steps.counts).mean(), task_means(kl, steps.counts).mean()


def task_means(values: Tensor, counts: Tensor) -> Tensor:
    """Mean of every task's `values` `[tasks, n]` where `counts` is 1, `[tasks]`."""
    return (values * counts).sum(1) / counts.sum(1).clamp(min=1.0)


def standardized(values: Tensor, valid: Tensor) -> Tensor:
    """Every task's `values` `[tasks, n]` with mean 0 and deviation 1 over those that are `valid`; 0 elsewhere."""
    counts = valid.to(values.dtype)
    centered = values - task_means(values, counts)[:, None]
    deviation = task_means(centered.square(), counts).sqrt()
    return centered / (deviation + 1e-8)[:, None] * counts
