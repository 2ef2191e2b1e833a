"""What a family of task distributions must define."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from envs.errors import ConfigurationError
from envs.task_distributions import TaskDistribution


class TaskFamily(ABC):
    """Distributions D_φ over tasks; φ is a tensor `[parameters]`, and some φ0 gives the world's reference distribution.

    Two φ may be averaged: the cross-entropy method moves φ a part of the way only.

    Attributes:
        reference_type: the reference distributions that the family contains.
        keeps_to_slots: whether it only gives tasks that the task slots start with.
        reference_parameters: φ0.
    """

    reference_type: ClassVar[type[TaskDistribution]]
    keeps_to_slots: bool = False
    reference_parameters: Tensor

    def bind(self, reference: TaskDistribution) -> None:
        """Set φ0 so that D_φ0 is `reference`.

        Raises:
            ConfigurationError: if no member of the family is that distribution.
        """
        if not isinstance(reference, self.reference_type):
            raise ConfigurationError(
                "data.task_sampler.init_args.family",
                type(self).__name__,
                f"it moves within distributions like {self.reference_type.__name__}, but the world's tasks "
                f"follow {type(reference).__name__}",
                "Leave the key out to take the family that matches the world, or choose another world.",
            )
        self.reference_parameters = self.bind_reference(reference)

    @abstractmethod
    def bind_reference(self, reference: Any) -> Tensor:
        """Take the reference distribution; its parameters φ0."""

    def bind_slots(self, tasks: Tensor) -> None:  # noqa: B027 - most families do not care
        """Take the tasks that the task slots start with, `[slots, task_dim]`."""

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
