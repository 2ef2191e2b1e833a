"""What a family of task distributions must define."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from envs.errors import ConfigurationError
from envs.task_distributions import TaskDistribution


class TaskFamily(ABC):
    """Distributions D_φ over tasks; φ is a tensor `[parameters]`, and D_φ0 is the environment's reference distribution.

    Two φ may be averaged, because the cross-entropy method smooths its updates.

    A family over a finite set of tasks works with their indices in the set: `sample` gives indices `[n]`, `log_prob`
    and `fit` take them, and `vectors` looks the tasks up.

    Attributes:
        reference_type: the reference distributions that the family contains.
        keeps_to_slots: whether it only gives tasks that the task slots start with.
        reference_parameters: φ0.
        task_set: the finite set `[tasks, task_dim]`; None for a family over all tasks.
    """

    reference_type: ClassVar[type[TaskDistribution]]
    keeps_to_slots: bool = False
    reference_parameters: Tensor
    task_set: Tensor | None = None

    def bind(self, reference: TaskDistribution) -> None:
        """Set φ0 so that D_φ0 is `reference`.

        Raises:
            ConfigurationError: if no member of the family is that distribution.
        """
        if not isinstance(reference, self.reference_type):
            raise ConfigurationError(
                "family",
                type(self).__name__,
                f"it holds distributions like {self.reference_type.__name__}, but the environment's tasks "
                f"follow {type(reference).__name__}",
                "Leave the key out to take the family that matches the environment, or choose another environment.",
            )
        self.reference_parameters = self.bind_reference(reference)

    @abstractmethod
    def bind_reference(self, reference: Any) -> Tensor:
        """Take the reference distribution; its parameters φ0."""

    def bind_slots(self, tasks: Tensor) -> None:  # noqa: B027 - most families do not need them
        """Take the tasks that the task slots start with, `[slots, task_dim]`."""

    @abstractmethod
    def sample(self, parameters: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """`n` draws from D_φ: tasks `[n, task_dim]`, or indices `[n]` of a finite set."""

    @abstractmethod
    def log_prob(self, parameters: Tensor, draws: Tensor) -> Tensor:
        """Log-density of `draws` under D_φ, up to a constant common to all φ, `[n]`."""

    @abstractmethod
    def fit(self, draws: Tensor, weights: Tensor) -> Tensor:
        """φ for `draws` with `weights` `[n]`, by maximum likelihood unless the family says otherwise."""

    @abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """Mean of every task coordinate under D_φ, `[task_dim]`."""

    def vectors(self, draws: Tensor) -> Tensor:
        """The tasks `[n, task_dim]` of `draws`."""
        return draws if self.task_set is None else self.task_set[draws]

    def quantiles(self, parameters: Tensor, levels: Tensor, generator: torch.Generator) -> Tensor:
        """Quantiles of every task coordinate under D_φ, `[levels, task_dim]`, estimated from 4096 draws."""
        return torch.quantile(self.vectors(self.sample(parameters, 4096, generator)), levels, dim=0)
