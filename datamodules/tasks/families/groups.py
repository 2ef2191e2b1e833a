"""Probabilities of groups of tasks."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from datamodules.tasks.families.base import TaskFamily
from datamodules.tasks.families.categorical import CategoricalFamily
from envs.task_distributions import GroupedTasks, TaskDistribution


class GroupFamily(CategoricalFamily):
    """For a finite set of tasks in groups, such as Meta-World's scenes; φ are the groups' probabilities.

    Within a group all tasks are equally likely. A round of the cross-entropy method has too few draws to tell 500
    tasks apart, but enough for ten scenes. If the set is a single group, φ are the probabilities of its tasks. Not
    among the published families.

    Args:
        floor: share of the probability that is always spread as in the reference distribution.
    """

    reference_type: ClassVar[type[TaskDistribution]] = GroupedTasks

    def bind(self, reference: TaskDistribution) -> None:
        TaskFamily.bind(self, reference)  # the set is the reference's, never that of the slots

    def bind_reference(self, reference: Any) -> Tensor:
        super().bind_reference(reference)
        groups = reference.groups if len(reference.groups.unique()) > 1 else torch.arange(len(reference.tasks))
        self._groups, self._sizes = groups.unique(return_inverse=True, return_counts=True)[1:]
        self.reference_parameters = self._sizes / len(groups)
        return self.reference_parameters

    def _shares(self, parameters: Tensor) -> Tensor:
        """The probability of every task, `[tasks]`."""
        shares: Tensor = (parameters / self._sizes)[self._groups]
        return shares

    def sample(self, parameters: Tensor, n: int, generator: torch.Generator) -> Tensor:
        return super().sample(self._shares(parameters), n, generator)

    def log_prob(self, parameters: Tensor, draws: Tensor) -> Tensor:
        return super().log_prob(self._shares(parameters), draws)

    def fit(self, draws: Tensor, weights: Tensor) -> Tensor:
        groups = self._groups[draws]
        counts = torch.zeros(len(self._sizes), dtype=weights.dtype).index_add_(0, groups, weights)
        return (1 - self.floor) * counts / counts.sum() + self.floor * self.reference_parameters

    def mean(self, parameters: Tensor) -> Tensor:
        return super().mean(self._shares(parameters))
