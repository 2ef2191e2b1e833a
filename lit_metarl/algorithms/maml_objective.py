"""MAML's outer objective: how good the policies are that the inner loop leads to."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from tensordict import TensorDict
from torch import Tensor

from lit_metarl.algorithms.maml_inner_loop import InnerLoop, Steps, task_means
from lit_metarl.losses import ppo
from lit_metarl.optim.task_gradient import Parameters, for_every_task


class MetaObjective:
    """The outer objective on collected trials: how good each task's adapted steps are under the policy θ adapts to.

    Inner steps learn from the sparse reward, as they do while a trial runs; the outer objective uses the (possibly
    shaped) reward.

    Args:
        inner_loop: that of the agent that ran the trials, with its policy as it was then.
        steps: of the trials, batch shape `[tasks, episodes, time]`.
        episodes_per_step: episodes that each inner step is computed from.
        exploration_episodes: episodes before the adapted ones.
    """

    def __init__(
        self, inner_loop: InnerLoop, steps: TensorDict, episodes_per_step: int, exploration_episodes: int
    ) -> None:
        self._inner_loop = inner_loop
        self._tasks = len(steps)
        self._inner = [
            self._steps(steps[:, first : first + episodes_per_step], "sparse_reward")
            for first in range(0, exploration_episodes, episodes_per_step)
        ]
        self._outer = self._steps(steps[:, exploration_episodes:], "reward")
        self._acted: list[Tensor] = []  # distributions that the actions were sampled from, by inner step
        policy = inner_loop.policy
        with torch.no_grad():
            parameters = for_every_task(dict(policy.named_parameters()), self._tasks)
            for inner in self._inner:
                parameters, acted = inner_loop.step(parameters, inner)
                self._acted.append(acted)
            self._outer_acted = policy.with_parameters(parameters, self._outer.inputs)
            self._log_probability = policy.actions.log_probability(self._outer_acted, self._outer.raw_action)
            self.entropy = task_means(policy.actions.entropy(self._outer_acted), self._outer.counts).mean()
        self.behavior = parameters
        """The adapted parameters of the trials, `[tasks, ...]` each."""

    def _steps(self, steps: TensorDict, reward: str) -> Steps:
        raw_action = steps.get("raw_action", steps["action"])
        return self._inner_loop.steps_to_learn_from(steps["observation"], raw_action, steps[reward], steps["valid"])

    def adapt(self, theta: Mapping[str, Tensor]) -> Parameters:
        """The parameters of every task after the inner steps from `theta`, `[tasks, ...]` each."""
        parameters = for_every_task(theta, self._tasks)
        for inner, acted in zip(self._inner, self._acted):
            parameters, _ = self._inner_loop.step(parameters, inner, acted)
        return parameters

    def loss_and_kl(self, theta: Mapping[str, Tensor], clip: float | None = None) -> tuple[Tensor, Tensor]:
        """Loss of `theta`, and the mean KL from the adapted policies that acted to those it adapts to.

        Both are means over the tasks, each with the same weight. This is the only place where a process mixes tasks.

        Args:
            theta: the policy's parameters.
            clip: ε of the clipped objective; None does not clip.
        """
        policy, steps = self._inner_loop.policy, self._outer
        distribution = policy.with_parameters(self.adapt(theta), steps.inputs)
        log_ratio = policy.actions.log_probability(distribution, steps.raw_action) - self._log_probability
        if clip is None:
            losses = -log_ratio.exp() * steps.advantage
        else:
            losses = ppo.policy_loss(log_ratio, steps.advantage, clip)
        kl = policy.actions.kl(self._outer_acted, distribution)
        return task_means(losses, steps.counts).mean(), task_means(kl, steps.counts).mean()
