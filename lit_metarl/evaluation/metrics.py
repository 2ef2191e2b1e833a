"""Metrics of finished trials (aggregated exactly over batches; every rank is given all trials)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from datamodules.collection import Trials


def worst(returns: Tensor, alpha: float) -> Tensor:
    """The indices of the lowest ⌈α·n⌉ of `returns` `[n]`, in their own order."""
    number = math.ceil(round(alpha * len(returns), 6))  # 0.07 · 100 is a little over 7 in floating point
    return returns.argsort()[:number].sort().values


def cvar(returns: Tensor, alpha: float) -> Tensor:
    """Mean of the worst ⌈α·n⌉ of `returns` `[n]`."""
    return returns[worst(returns, alpha)].mean()


@dataclass(frozen=True)
class TaskResults:
    """How an evaluation went, task by task.

    Attributes:
        tasks: `[tasks, task_dim]`.
        returns: return of every episode, mean over a task's trials, `[tasks, episodes]`.
        success: share of a task's trials in which the episode accomplished it, `[tasks, episodes]`; None in
            an environment that defines no success.
        beliefs: what the agent believed at the end of a task's last trial, as numbers, `[tasks, size]`; None
            if it does not report one.
        exploration_episodes: how many of the first episodes only gathered information.
    """

    tasks: Tensor
    returns: Tensor
    success: Tensor | None
    beliefs: Tensor | None
    exploration_episodes: int


def mean_by_task(values: Tensor, numbers: Tensor) -> Tensor:
    """Mean of the rows of `values` `[trials, n]` that share a task number (`numbers` `[trials]`), `[tasks, n]`."""
    _, task, trials = numbers.unique(return_inverse=True, return_counts=True)
    sums = values.new_zeros(len(trials), values.shape[1]).index_add_(0, task, values)
    means: Tensor = sums / trials[:, None]
    return means


class TrialMetrics(Metric):
    """Return and CVaR of the adapted (last) episode, adaptation curve, exploration return, success rate.

    `return_trial` and `cvar_trial` are of the mean return over all episodes of a trial, as the RoML paper
    counts: these reward fast adaptation.

    Args:
        alpha: share of tasks that counts as the tail of the CVaR.
    """

    full_state_update = False
    episode_returns: list[Tensor]
    task_numbers: list[Tensor]
    tasks: list[Tensor]
    success: list[Tensor]
    beliefs: list[Tensor]
    exploration_episodes: Tensor

    def __init__(self, alpha: float) -> None:
        super().__init__(sync_on_compute=False)
        self.alpha = alpha
        self.add_state("episode_returns", default=[], dist_reduce_fx="cat")
        self.add_state("task_numbers", default=[], dist_reduce_fx="cat")
        self.add_state("tasks", default=[], dist_reduce_fx="cat")
        self.add_state("success", default=[], dist_reduce_fx="cat")
        self.add_state("beliefs", default=[], dist_reduce_fx="cat")
        self.add_state("exploration_episodes", default=torch.tensor(0), dist_reduce_fx="max")

    def update(self, trials: Trials) -> None:
        """Add the trials of a batch of tasks. Without `task_numbers` every trial counts as a task of its own."""
        returns, numbers = trials.episode_returns, trials.task_numbers
        if numbers is None:
            numbers = torch.arange(len(returns), device=returns.device) + sum(map(len, self.task_numbers))
        self.episode_returns.append(returns)
        self.task_numbers.append(numbers)
        self.tasks.append(trials.tasks)
        self.exploration_episodes = torch.tensor(trials.exploration_episodes, device=self.device)
        if trials.success is not None:
            self.success.append(trials.success)
        if trials.beliefs is not None:
            self.beliefs.append(trials.beliefs[:, -1])

    def by_task(self) -> TaskResults:
        """Every task so far, in the order of their numbers."""
        numbers = dim_zero_cat(self.task_numbers)
        of_task, task = numbers.unique(return_inverse=True)
        last = torch.zeros_like(of_task).scatter_reduce_(0, task, torch.arange(len(task), device=task.device), "amax")
        return TaskResults(
            tasks=dim_zero_cat(self.tasks)[last],
            returns=mean_by_task(dim_zero_cat(self.episode_returns), numbers),
            success=mean_by_task(dim_zero_cat(self.success).float(), numbers) if self.success else None,
            beliefs=dim_zero_cat(self.beliefs)[last] if self.beliefs else None,
            exploration_episodes=int(self.exploration_episodes),
        )

    def compute(self) -> dict[str, Tensor]:
        """The metrics, by name."""
        results = self.by_task()
        returns, adapted = results.returns, results.returns[:, -1]
        trial = returns.mean(1)
        metrics = {
            "return": adapted.mean(),
            "cvar": cvar(adapted, self.alpha),
            "return_trial": trial.mean(),
            "cvar_trial": cvar(trial, self.alpha),
        }
        for episode, mean in enumerate(returns.mean(0), start=1):
            metrics[f"return_episode_{episode}"] = mean
        if results.exploration_episodes > 0:
            metrics["return_exploration"] = returns[:, : results.exploration_episodes].mean()
        if results.success is not None:
            metrics["success"] = results.success[:, -1].mean()
        return metrics
