"""Exponential distributions."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from datamodules.tasks.families.base import TaskFamily
from envs.task_distributions import Exponential, TaskDistribution

SMALLEST_MEAN = 1e-6  # of the reference's


class ExponentialFamily(TaskFamily):
    """For one task coordinate with an exponential distribution; φ is its mean (RoML on KhazadDum)."""

    reference_type: ClassVar[type[TaskDistribution]] = Exponential

    def bind_reference(self, reference: Exponential) -> Tensor:
        self._smallest = SMALLEST_MEAN * reference.mean
        return torch.tensor([reference.mean])

    def sample(self, parameters: Tensor, n: int, generator: torch.Generator) -> Tensor:
        return Exponential(float(parameters)).sample(n, generator)

    def log_prob(self, parameters: Tensor, tasks: Tensor) -> Tensor:
        return -tasks[:, 0] / parameters - parameters.log()

    def fit(self, tasks: Tensor, weights: Tensor) -> Tensor:
        mean = (weights * tasks[:, 0]).sum() / weights.sum()
        return mean.clamp(min=self._smallest)[None]

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters
