"""Gaussian distributions with a full covariance."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from datamodules.tasks.families.base import TaskFamily
from envs.errors import require
from envs.randomness import sampling_from
from envs.task_distributions import Gaussian, TaskDistribution


class GaussianFamily(TaskFamily):
    """For tasks with a normal distribution; φ is the mean and the covariance, flattened.

    The covariance is the weighted maximum-likelihood one, around the new mean (the published code
    takes second moments around zero), with eigenvalues brought between two bounds, so that the
    distribution neither collapses nor explodes.

    Args:
        smallest_std: of any direction, as a share of the reference's smallest.
        largest_std: of any direction, as a multiple of the reference's largest.
    """

    reference_type: ClassVar[type[TaskDistribution]] = Gaussian

    def __init__(self, smallest_std: float = 0.25, largest_std: float = 2.0) -> None:
        require(0.0 < smallest_std <= 1.0, "smallest_std", smallest_std, "it must lie in (0, 1]", "Try 0.25.", of=self)
        require(largest_std >= 1.0, "largest_std", largest_std, "it must be at least 1", "Try 2.", of=self)
        self.smallest_std = smallest_std
        self.largest_std = largest_std

    def bind_reference(self, reference: Gaussian) -> Tensor:
        self._dim = reference.task_dim
        variances = torch.linalg.eigvalsh(reference.covariance)
        self._bounds = self.smallest_std**2 * variances[0], self.largest_std**2 * variances[-1]
        return torch.cat((reference.mean, reference.covariance.flatten()))

    def _distribution(self, parameters: Tensor) -> MultivariateNormal:
        mean, covariance = parameters[: self._dim], parameters[self._dim :].view(self._dim, self._dim)
        return MultivariateNormal(mean, covariance, validate_args=False)

    def sample(self, parameters: Tensor, n: int, generator: torch.Generator) -> Tensor:
        with sampling_from(generator):
            tasks: Tensor = self._distribution(parameters).sample((n,))
        return tasks

    def log_prob(self, parameters: Tensor, tasks: Tensor) -> Tensor:
        log_densities: Tensor = self._distribution(parameters).log_prob(tasks)
        return log_densities

    def fit(self, tasks: Tensor, weights: Tensor) -> Tensor:
        shares = (weights / weights.sum())[:, None]
        mean = (shares * tasks).sum(0)
        centered = tasks - mean
        variances, directions = torch.linalg.eigh((shares * centered).T @ centered)
        covariance = directions @ variances.clamp(*self._bounds).diag() @ directions.T
        return torch.cat((mean, covariance.flatten()))

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters[: self._dim]
