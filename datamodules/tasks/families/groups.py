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
        shares: Tensor = (parameters / self._sizes)[self._groups]
        return shares

    def _cells(self, draws: Tensor) -> Tensor:
        cells: Tensor = self._groups[draws]
        return cells
