"""Families of task distributions D_φ that the cross-entropy method moves within (RoML, Greenberg et al. 2023)."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.distributions import Beta

from envs.errors import ConfigurationError
from envs.randomness import drawing_from
from envs.task_distributions import TaskDistribution, UniformBox


class TaskFamily(ABC):
    """Distributions D_φ over tasks; φ is a tensor, and some φ0 gives the world's reference distribution."""

    reference_parameters: Tensor

    @abstractmethod
    def bind(self, reference: TaskDistribution) -> None:
        """Set `reference_parameters` (φ0) so that D_φ0 is `reference`.

        Raises:
            ConfigurationError: if no member of the family is that distribution.
        """

    @abstractmethod
    def sample(self, parameters: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """`n` tasks from D_φ, `[n, task_dim]`."""

    @abstractmethod
    def log_prob(self, parameters: Tensor, tasks: Tensor) -> Tensor:
        """Log-density of `tasks` `[n, task_dim]` under D_φ, up to a constant common to all φ, `[n]`."""

    @abstractmethod
    def fit(self, tasks: Tensor, weights: Tensor) -> Tensor:
        """Weighted maximum-likelihood φ for `tasks` `[n, task_dim]` with `weights` `[n]`."""

    @abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """Mean of every task coordinate under D_φ, `[task_dim]`."""

    def quantiles(self, parameters: Tensor, levels: Tensor, generator: torch.Generator) -> Tensor:
        """Quantiles of every task coordinate under D_φ, `[levels, task_dim]`, estimated from 4096 draws."""
        return torch.quantile(self.sample(parameters, 4096, generator), levels, dim=0)


class BetaFamily(TaskFamily):
    """Beta(2φ, 2 − 2φ) on each coordinate's interval, independent; φ is the mean as a share of the interval.

    φ0 = 0.5 is the uniform distribution. Near the ends of the interval the density ratio is taken
    `margin` inside, where it is bounded, as in the published implementation.

    Args:
        margin: smallest distance of φ, and of a task in density ratios, from the interval's ends, as a share.
    """

    def __init__(self, margin: float = 0.02) -> None:
        self.margin = margin
        self._low = self._width = torch.empty(0)

    def bind(self, reference: TaskDistribution) -> None:
        if not isinstance(reference, UniformBox):
            raise ConfigurationError(
                "data.task_sampler.init_args.family",
                type(self).__name__,
                f"it needs a world whose tasks are uniform in a box, but they follow {type(reference).__name__}",
                "Choose another family, or a world with uniform tasks.",
            )
        self._low, self._width = reference.low, reference.high - reference.low
        self.reference_parameters = torch.full((reference.task_dim,), 0.5)

    def _distribution(self, parameters: Tensor) -> Beta:
        return Beta(2 * parameters, 2 - 2 * parameters, validate_args=False)

    def sample(self, parameters: Tensor, n: int, generator: torch.Generator) -> Tensor:
        with drawing_from(generator):
            unit: Tensor = self._distribution(parameters).sample((n,))
        return self._low + self._width * unit

    def log_prob(self, parameters: Tensor, tasks: Tensor) -> Tensor:
        unit = ((tasks - self._low) / self._width).clamp(self.margin, 1 - self.margin)
        log_densities: Tensor = self._distribution(parameters).log_prob(unit)
        return log_densities.sum(-1)

    def fit(self, tasks: Tensor, weights: Tensor) -> Tensor:
        unit = (tasks - self._low) / self._width
        mean = (weights[:, None] * unit).sum(0) / weights.sum()
        return mean.clamp(self.margin, 1 - self.margin)

    def mean(self, parameters: Tensor) -> Tensor:
        return self._low + self._width * parameters
