"""Probabilities of a finite set of tasks."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from datamodules.tasks.families.base import TaskFamily
from envs.errors import require
from envs.task_distributions import DealtTasks, FiniteTasks, TaskDistribution


class CategoricalFamily(TaskFamily):
    """For a finite set of tasks; φ are their probabilities, equal in φ0. Not among the published families.

    The set is the environment's, if its tasks are finite; in any other environment it is the tasks
    that the task slots start with, sampled once from the reference distribution. This combines RoML's
    sampling with the fixed training set of the HFR runs.

    Args:
        floor: share of the probability that is always spread evenly, so that every task keeps some
            probability and density ratios are bounded.
    """

    reference_type: ClassVar[type[TaskDistribution]] = FiniteTasks
    task_set: Tensor

    def __init__(self, floor: float = 0.1) -> None:
        require(
            0.0 < floor <= 1.0,
            "floor",
            floor,
            "it must lie in (0, 1]",
            "Try 0.1.",
            of=self,
        )
        self.floor = floor

    def bind(self, reference: TaskDistribution) -> None:
        self.keeps_to_slots = not isinstance(reference, FiniteTasks)
        if isinstance(reference, FiniteTasks):
            self.bind_reference(reference)

    def bind_reference(self, reference: FiniteTasks) -> Tensor:
        require(
            type(reference).sample_indices in (FiniteTasks.sample_indices, DealtTasks.sample_indices),
            "family",
            type(self).__name__,
            f"it begins with equal probabilities, and {type(reference).__name__} chooses its tasks in a way of its own",
            "Use a family of your own, or MPTSSampler or PDTSSampler.",
        )
        return self._take(reference.tasks)

    def bind_slots(self, tasks: Tensor) -> None:
        if self.keeps_to_slots:
            self._take(tasks)

    def _take(self, tasks: Tensor) -> Tensor:
        self.task_set = tasks.clone()
        self.reference_parameters = torch.full((len(tasks),), 1.0 / len(tasks))
        return self.reference_parameters

    def _shares(self, parameters: Tensor) -> Tensor:
        """The probability of every task, `[tasks]`."""
        return parameters

    def _cells(self, draws: Tensor) -> Tensor:
        """Which of the parameters the tasks `draws` belong to, `[n]`."""
        return draws

    def sample(self, parameters: Tensor, n: int, generator: torch.Generator) -> Tensor:
        return torch.multinomial(self._shares(parameters), n, replacement=True, generator=generator)

    def log_prob(self, parameters: Tensor, draws: Tensor) -> Tensor:
        return self._shares(parameters)[draws].log()

    def fit(self, draws: Tensor, weights: Tensor) -> Tensor:
        reference = self.reference_parameters
        counts = torch.zeros(len(reference), dtype=weights.dtype).index_add_(0, self._cells(draws), weights)
        return (1 - self.floor) * counts / counts.sum() + self.floor * reference

    def mean(self, parameters: Tensor) -> Tensor:
        return self._shares(parameters) @ self.task_set
