"""MAML's inner loop: the policy-gradient step from a task's own episodes to its adapted policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lit_metarl.losses import ppo
from lit_metarl.losses.linear_baseline import fitted_values
from lit_metarl.networks import RunningMoments, TaskPolicy
from lit_metarl.optim.task_gradient import Parameters, gradient_step


class Steps(NamedTuple):
    """What a policy learns from: all steps of some episodes of every task. The first dimensions are `[tasks, n]`.

    Attributes:
        inputs: of the policy.
        raw_action: the sampled action, before it was bounded.
        advantage: with mean 0 and standard deviation 1 over a task's steps.
        counts: 1 for a step that exists, 0 for padding.
    """

    inputs: Tensor
    raw_action: Tensor
    advantage: Tensor
    counts: Tensor


@dataclass(frozen=True)
class InnerLoop:
    """How the parameters of a task's policy change from its own episodes.

    Attributes:
        policy: the policy; its own parameters are not used.
        input_moments: running statistics that normalize its inputs.
        rate: step size α.
        first_order: treat inner gradients as constants when the result is differentiated.
        discount: γ.
        gae_lambda: λ.
    """

    policy: TaskPolicy
    input_moments: RunningMoments
    rate: float
    first_order: bool
    discount: float
    gae_lambda: float

    @torch.no_grad()
    def steps_to_learn_from(self, observation: Tensor, raw_action: Tensor, reward: Tensor, valid: Tensor) -> Steps:
        """Episodes `[tasks, episodes, time]` as `Steps`, with advantages over a baseline fitted to these episodes.

        The value after an episode's last step is 0, at a time limit too: the baseline sees the time.
        """
        reward = torch.where(valid, reward, 0.0)
        rows = reward.flatten(0, 1)
        returns = ppo.discounted_sums(rows.flip(1), torch.full_like(rows, self.discount)).flip(1).view_as(reward)
        value = fitted_values(observation, returns, valid)
        unknown = torch.zeros_like(rows, dtype=torch.bool)
        advantage = ppo.generalized_advantages(rows, value.flatten(0, 1), unknown, self.discount, self.gae_lambda)
        return Steps(
            self.input_moments.normalize(observation).flatten(1, 2),
            raw_action.flatten(1, 2),
            standardized(advantage.view_as(reward).flatten(1), valid.flatten(1)),
            valid.flatten(1).to(reward.dtype),
        )

    def step(self, parameters: Parameters, steps: Steps, acted: Tensor | None = None) -> tuple[Parameters, Tensor]:
        """The parameters of every task after a policy-gradient step on its own `steps`.

        The loss is the likelihood ratio times the advantage. Its gradient is the policy gradient at the parameters
        that acted, and corrected for the change elsewhere; its own derivative is what the outer update needs
        (ProMP, Rothfuss et al. 2019, arXiv 1810.06784, section 5).

        Args:
            parameters: `[tasks, ...]` each.
            steps: what to learn from.
            acted: distributions that the actions were sampled from, `[tasks, n, parameters]`; None for
                those that `parameters` give.

        Returns:
            The new parameters, and the distributions that the actions were sampled from.
        """
        if acted is None:
            acted = self.policy.with_parameters(parameters, steps.inputs).detach()
        old = self.policy.actions.log_probability(acted, steps.raw_action)

        def losses(values: Parameters) -> Tensor:
            distribution = self.policy.with_parameters(values, steps.inputs)
            log_ratio = self.policy.actions.log_probability(distribution, steps.raw_action) - old
            return task_means(-log_ratio.exp() * steps.advantage, steps.counts)

        return gradient_step(parameters, losses, self.rate, self.first_order), acted


def task_means(values: Tensor, counts: Tensor) -> Tensor:
    """Mean of every task's `values` `[tasks, n]` where `counts` is 1, `[tasks]`."""
    return (values * counts).sum(1) / counts.sum(1).clamp(min=1.0)


def standardized(values: Tensor, valid: Tensor) -> Tensor:
    """Every task's `values` `[tasks, n]` with mean 0 and standard deviation 1 where `valid`; 0 elsewhere."""
    counts = valid.to(values.dtype)
    centered = values - task_means(values, counts)[:, None]
    std = task_means(centered.square(), counts).sqrt()
    return centered / (std + 1e-8)[:, None] * counts
