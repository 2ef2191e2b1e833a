"""The record of trials, which a collector passes to replay, task sampler and evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from tensordict import TensorDict
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Trials:
    """One trial per task: consecutive episodes in which the agent keeps what it learned.

    Attributes:
        tasks: `[tasks, task_dim]`.
        steps: batch shape `[tasks, episodes, time]`; keys `observation`, `action`,
            `next_observation`, `features`, `reward`, `sparse_reward`, `terminated`, the algorithm's
            extras, and `valid`: False after an episode's end.
        success: whether the episode accomplished its task, `[tasks, episodes]`; None in an
            environment without success.
        exploration_episodes: how many of the first episodes only gathered information.
        task_numbers: in an evaluation, the index of each task among its tasks, `[tasks]`; several trials of one
            task share its index. None elsewhere.
        beliefs: in an evaluation of an agent that reports its beliefs (`datamodules.contracts.Believer`),
            the belief at the end of every episode, `[tasks, episodes, size]`. None elsewhere.
    """

    tasks: Tensor
    steps: TensorDict
    success: Tensor | None = None
    exploration_episodes: int = 0
    task_numbers: Tensor | None = None
    beliefs: Tensor | None = None

    @classmethod
    def of(cls, tasks: Tensor, steps: dict[str, Tensor]) -> Trials:
        """Trials on `tasks` `[tasks, task_dim]` with `steps` of shape `[tasks, episodes, time, ...]`."""
        return cls(tasks, TensorDict(steps, list(steps["valid"].shape)))

    @property
    def episode_returns(self) -> Tensor:
        """Return of every episode in the task's own (sparse) reward, `[tasks, episodes]`."""
        return torch.where(self.steps["valid"], self.steps["sparse_reward"], 0.0).sum(-1)

    @property
    def returns(self) -> Tensor:
        """Return of every trial, summed over its episodes, `[tasks]`: the task sampler's score."""
        return self.episode_returns.sum(-1)

    @property
    def environment_steps(self) -> int:
        """Simulated steps."""
        return int(self.steps["valid"].sum())

    def to(self, device: torch.device) -> Trials:
        """The same trials on `device`."""
        return replace(
            self,
            tasks=self.tasks.to(device),
            steps=self.steps.to(device),
            success=None if self.success is None else self.success.to(device),
            task_numbers=None if self.task_numbers is None else self.task_numbers.to(device),
            beliefs=None if self.beliefs is None else self.beliefs.to(device),
        )
