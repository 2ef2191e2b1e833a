"""Metrics of finished trials (aggregated exactly over batches; every rank is given all trials)."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

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


class TrialMetrics:
    """Return and CVaR of the adapted (last) episode, adaptation curve, exploration return, success rate.

    `return_trial` and `cvar_trial` are of the mean return over all episodes of a trial, as the RoML paper
    counts: these reward fast adaptation.

    Args:
        alpha: share of tasks that counts as the tail of the CVaR.
    """

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self.reset()

    def reset(self) -> None:
        """Forget all trials."""
        self._columns: dict[str, list[Tensor]] = defaultdict(list)
        self._exploration_episodes = 0

    def update(self, trials: Trials) -> None:
        """Add the trials of a batch of tasks. Without `task_numbers` every trial counts as a task of its own."""
        returns, numbers = trials.episode_returns, trials.task_numbers
        if numbers is None:
            numbers = torch.arange(len(returns), device=returns.device) + sum(map(len, self._columns["numbers"]))
        beliefs = None if trials.beliefs is None else trials.beliefs[:, -1]
        self._exploration_episodes = trials.exploration_episodes
        for name, values in (
            ("numbers", numbers),
            ("tasks", trials.tasks),
            ("returns", returns),
            ("success", trials.success),
            ("beliefs", beliefs),
        ):
            if values is not None:
                self._columns[name].append(values)

    def by_task(self) -> TaskResults:
        """Every task so far, in the order of their numbers."""
        columns = {name: torch.cat(values) for name, values in self._columns.items()}
        numbers = columns["numbers"]
        of_task, task = numbers.unique(return_inverse=True)
        last = torch.zeros_like(of_task).scatter_reduce_(0, task, torch.arange(len(task), device=task.device), "amax")
        return TaskResults(
            tasks=columns["tasks"][last],
            returns=mean_by_task(columns["returns"], numbers),
            success=mean_by_task(columns["success"].float(), numbers) if "success" in columns else None,
            beliefs=columns["beliefs"][last] if "beliefs" in columns else None,
            exploration_episodes=self._exploration_episodes,
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
