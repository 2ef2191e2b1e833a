"""MAML's outer objective: how good the policies are that the inner loop leads to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from tensordict import TensorDict
from torch import Tensor

from lit_metarl.algorithms.maml_inner_loop import InnerLoop, Steps, task_means
from lit_metarl.losses import ppo
from lit_metarl.optim.task_gradient import Parameters, for_every_task

GROUP_ROWS = 4096  # steps of a group of tasks, so that a layer's activations stay in a core's cache


class MetaObjective:
    """The outer objective on collected trials: how good each task's adapted steps are under the policy θ adapts to.

    Inner steps learn from the sparse reward, as they do while a trial runs; the outer objective uses the (possibly
    shaped) reward. Tasks are computed in groups, each in one batched computation.

    Args:
        inner_loop: that of the agent that ran the trials, with its policy as it was then.
        steps: of the trials, batch shape `[tasks, episodes, time]`.
        episodes_per_step: episodes that each inner step is computed from.
        exploration_episodes: episodes before the adapted ones.
    """

    def __init__(
        self, inner_loop: InnerLoop, steps: TensorDict, episodes_per_step: int, exploration_episodes: int
    ) -> None:
        _, episodes, time = steps.batch_size
        size = max(1, GROUP_ROWS // (episodes * time))
        self._groups = [
            _TaskGroup(inner_loop, group, episodes_per_step, exploration_episodes) for group in steps.split(size)
        ]
        self._tasks = len(steps)
        self.entropy = torch.cat([group.entropies for group in self._groups]).mean()
        self.behavior = _joined([group.behavior for group in self._groups])
        """The adapted parameters of the trials, `[tasks, ...]` each."""

    def adapt(self, theta: Mapping[str, Tensor]) -> Parameters:
        """The parameters of every task after the inner steps from `theta`, `[tasks, ...]` each."""
        return _joined([group.adapt(theta) for group in self._groups])

    def loss_and_kl(self, theta: Mapping[str, Tensor], clip: float | None = None) -> tuple[Tensor, Tensor]:
        """Loss of `theta`, and the mean KL from the adapted policies that acted to those it adapts to.

        Both are means over the tasks, each with the same weight. This is the only place where a process mixes tasks.

        Args:
            theta: the policy's parameters.
            clip: ε of the clipped objective; None does not clip.
        """
        losses, kls = zip(*(group.losses_and_kls(theta, clip) for group in self._groups))
        return torch.cat(losses).mean(), torch.cat(kls).mean()

    def fisher_vector_product(self, theta: Mapping[str, Tensor]) -> Callable[[Parameters], Parameters]:
        """v ↦ F v, where F is the Hessian of the mean KL at the `theta` that the trials were run with.

        There the KL and its gradient with respect to the distributions are 0, so that F = Jᵀ H J exactly: J is the
        derivative of the distributions with respect to θ, through the inner steps, and H the Hessian of the KL with
        respect to the distributions. Two products with J take less than the third derivatives that the Hessian of
        the whole KL takes.
        """
        leaves = {name: value.detach().requires_grad_() for name, value in theta.items()}
        jacobians = [_Jacobian(group.distribution(leaves), list(leaves.values())) for group in self._groups]

        def product(vector: Parameters) -> Parameters:
            total = [torch.zeros_like(value) for value in leaves.values()]
            for group, jacobian in zip(self._groups, jacobians):
                change = group.curvature(jacobian.times(list(vector.values()))) / self._tasks
                torch._foreach_add_(total, jacobian.transposed_times(change))
            return dict(zip(leaves, total))

        return product


class _TaskGroup:
    """The parts of the objective that belong to some of the tasks; arguments as for `MetaObjective`."""

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
            self.entropies = task_means(policy.actions.entropy(self._outer_acted), self._outer.counts)
        self.behavior = parameters

    def _steps(self, steps: TensorDict, reward: str) -> Steps:
        raw_action = steps.get("raw_action", steps["action"])
        return self._inner_loop.steps_to_learn_from(steps["observation"], raw_action, steps[reward], steps["valid"])

    def adapt(self, theta: Mapping[str, Tensor]) -> Parameters:
        """As `MetaObjective.adapt`."""
        parameters = for_every_task(theta, self._tasks)
        for inner, acted in zip(self._inner, self._acted):
            parameters, _ = self._inner_loop.step(parameters, inner, acted)
        return parameters

    def distribution(self, theta: Mapping[str, Tensor]) -> Tensor:
        """The distributions over actions in the adapted episodes, `[tasks, n, parameters]`, of what θ adapts to."""
        return self._inner_loop.policy.with_parameters(self.adapt(theta), self._outer.inputs)

    def losses_and_kls(self, theta: Mapping[str, Tensor], clip: float | None) -> tuple[Tensor, Tensor]:
        """The terms of `MetaObjective.loss_and_kl`, `[tasks]` each."""
        actions, steps = self._inner_loop.policy.actions, self._outer
        distribution = self.distribution(theta)
        log_ratio = actions.log_probability(distribution, steps.raw_action) - self._log_probability
        if clip is None:
            losses = -log_ratio.exp() * steps.advantage
        else:
            losses = ppo.policy_loss(log_ratio, steps.advantage, clip)
        kl = actions.kl(self._outer_acted, distribution)
        return task_means(losses, steps.counts), task_means(kl, steps.counts)

    def curvature(self, change: Tensor) -> Tensor:
        """The Hessian of the tasks' mean KLs with respect to the distributions, times `change` of the distributions."""
        counts = self._outer.counts
        weights = counts / counts.sum(1, keepdim=True).clamp(min=1.0)
        return self._inner_loop.policy.actions.kl_curvature(self._outer_acted, change) * weights[..., None]


class _Jacobian:
    """The derivative of `outputs` with respect to `inputs`, kept as graphs.

    Jᵀw is a backward pass. It is linear in w, and its own backward pass to w gives J v: on a CPU, in half the time of
    `torch.func.jvp`.
    """

    def __init__(self, outputs: Tensor, inputs: list[Tensor]) -> None:
        self._outputs, self._inputs = outputs, inputs
        self._weights = torch.zeros_like(outputs, requires_grad=True)
        self._weighted = torch.autograd.grad(outputs, inputs, self._weights, create_graph=True)

    def times(self, vector: list[Tensor]) -> Tensor:
        """J v, shaped as the outputs, for `vector` shaped as the inputs."""
        (product,) = torch.autograd.grad(self._weighted, self._weights, vector, retain_graph=True)
        return product

    def transposed_times(self, weights: Tensor) -> tuple[Tensor, ...]:
        """Jᵀ w, shaped as the inputs, for `weights` shaped as the outputs."""
        return torch.autograd.grad(self._outputs, self._inputs, weights, retain_graph=True)


def _joined(groups: list[Parameters]) -> Parameters:
    return {name: torch.cat([parameters[name] for parameters in groups]) for name in groups[0]}
