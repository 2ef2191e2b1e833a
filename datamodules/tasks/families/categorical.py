"""Probabilities of a finite set of tasks."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from datamodules.tasks.families.base import TaskFamily
from envs.errors import ConfigurationError, require
from envs.task_distributions import FiniteTasks, TaskDistribution


class CategoricalFamily(TaskFamily):
    """For a finite set of tasks; φ are their probabilities, φ0 equal ones. Beyond the published families.

    The set is the world's, where the world's tasks are finite; in any other world it is the tasks
    that the task slots start with, drawn once from the reference distribution. That lets RoML's
    sampling and the fixed training set of the HFR runs go together.

    Args:
        floor: share of the probability that is always spread evenly, so that no task is forgotten and
            density ratios are bounded.
    """

    reference_type: ClassVar[type[TaskDistribution]] = FiniteTasks

    def __init__(self, floor: float = 0.1) -> None:
        require(
            0.0 < floor <= 1.0,
            "data.task_sampler.init_args.family.init_args.floor",
            floor,
            "it must lie in (0, 1]",
            "Try 0.1.",
        )
        self.floor = floor

    def bind(self, reference: TaskDistribution) -> None:
        self.keeps_to_slots = not isinstance(reference, FiniteTasks)
        if isinstance(reference, FiniteTasks):
            self._take(reference.tasks)

    def bind_reference(self, reference: FiniteTasks) -> Tensor:
        return self._take(reference.tasks)

    def bind_slots(self, tasks: Tensor) -> None:
        if self.keeps_to_slots:
            self._take(tasks)

    def _take(self, tasks: Tensor) -> Tensor:
        self.tasks = tasks.clone()
        self.reference_parameters = torch.full((len(tasks),), 1.0 / len(tasks))
        return self.reference_parameters

    def sample(self, parameters: Tensor, n: int, generator: torch.Generator) -> Tensor:
        return self.tasks[torch.multinomial(parameters, n, replacement=True, generator=generator)]

    def log_prob(self, parameters: Tensor, tasks: Tensor) -> Tensor:
        return parameters[self._number(tasks)].log()

    def fit(self, tasks: Tensor, weights: Tensor) -> Tensor:
        counts = torch.zeros(len(self.tasks), dtype=weights.dtype).index_add_(0, self._number(tasks), weights)
        return (1 - self.floor) * counts / counts.sum() + self.floor * self.reference_parameters

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters @ self.tasks

    def _number(self, tasks: Tensor) -> Tensor:
        """Which of the set each of `tasks` `[n, task_dim]` is, `[n]`."""
        same = (tasks[:, None] == self.tasks).all(-1)
        if not bool(same.any(1).all()):
            stranger = tasks[int((~same.any(1)).nonzero()[0, 0])].tolist()
            raise ConfigurationError(
                "data.task_sampler.init_args.family",
                type(self).__name__,
                f"the task {stranger} is not of its set",
                "Give it the tasks that it has drawn itself.",
            )
        return same.int().argmax(1)
