"""Beta distributions on whatever can be mapped to the unit cube."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Beta

from datamodules.tasks.families.base import TaskFamily
from envs.errors import require
from envs.randomness import sampling_from
from envs.task_distributions import Disk, HalfCircle, LogUniformBox, TaskDistribution, UniformBox


class UnitBetaFamily(TaskFamily):
    """Independent Beta(2φ, 2 − 2φ) on the coordinates of a unit cube that tasks are mapped to and from.

    φ is the mean of each, and φ0 = 0.5 the uniform distribution. A subclass defines the map.

    Args:
        margin: smallest distance of φ from the cube's faces.
        density_margin: density ratios of tasks nearer to a face are taken this far inside, where they are
            bounded. The published value overrates draws at the face that φ has moved to, so that with
            scores that are monotone in the task φ may sink to its bound.
    """

    def __init__(self, margin: float = 0.02, density_margin: float = 0.02) -> None:
        for name, value in (("margin", margin), ("density_margin", density_margin)):
            require(
                0.0 < value < 0.5,
                name,
                value,
                "it must lie in (0, 0.5)",
                "RoML uses 0.02.",
                of=self,
            )
        self.margin = margin
        self.density_margin = density_margin

    @abstractmethod
    def take(self, reference: Any) -> int:
        """Take the reference distribution; the dimensions of the unit cube."""

    @abstractmethod
    def to_unit(self, tasks: Tensor) -> Tensor:
        """Where `tasks` `[n, task_dim]` are in the unit cube, `[n, unit_dim]`."""

    @abstractmethod
    def from_unit(self, unit: Tensor) -> Tensor:
        """The tasks at `unit` `[n, unit_dim]`, `[n, task_dim]`."""

    def bind_reference(self, reference: Any) -> Tensor:
        return torch.full((self.take(reference),), 0.5)

    def _distribution(self, parameters: Tensor) -> Beta:
        return Beta(2 * parameters, 2 - 2 * parameters, validate_args=False)

    def sample(self, parameters: Tensor, n: int, generator: torch.Generator) -> Tensor:
        with sampling_from(generator):
            unit: Tensor = self._distribution(parameters).sample((n,))
        return self.from_unit(unit)

    def log_prob(self, parameters: Tensor, tasks: Tensor) -> Tensor:
        unit = self.to_unit(tasks).clamp(self.density_margin, 1 - self.density_margin)
        log_densities: Tensor = self._distribution(parameters).log_prob(unit)
        return log_densities.sum(-1)

    def fit(self, tasks: Tensor, weights: Tensor) -> Tensor:
        mean = (weights[:, None] * self.to_unit(tasks)).sum(0) / weights.sum()
        return mean.clamp(self.margin, 1 - self.margin)

    def mean(self, parameters: Tensor) -> Tensor:
        """Mean of every task coordinate, from 4096 draws with a fixed seed."""
        return self.sample(parameters, 4096, torch.Generator().manual_seed(0)).mean(0)


class BetaFamily(UnitBetaFamily):
    """For tasks that are uniform in a box; φ is the mean as a share of each side (RoML on velocities)."""

    reference_type: ClassVar[type[TaskDistribution]] = UniformBox

    def take(self, reference: UniformBox) -> int:
        self._low, self._width = reference.low, reference.high - reference.low
        return reference.task_dim

    def to_unit(self, tasks: Tensor) -> Tensor:
        return (tasks - self._low) / self._width

    def from_unit(self, unit: Tensor) -> Tensor:
        return self._low + self._width * unit

    def mean(self, parameters: Tensor) -> Tensor:
        return self.from_unit(parameters)


class LogBetaFamily(UnitBetaFamily):
    """For tasks that are uniform in a box of logarithms: factors on masses, sizes, damping (RoML)."""

    reference_type: ClassVar[type[TaskDistribution]] = LogUniformBox

    def take(self, reference: LogUniformBox) -> int:
        self._low, self._high = reference.low, reference.high
        return reference.task_dim

    def to_unit(self, tasks: Tensor) -> Tensor:
        return (tasks / self._low).log() / (self._high / self._low).log()

    def from_unit(self, unit: Tensor) -> Tensor:
        # Rounding may step over a bound by one bit, and such a task would be refused.
        return (self._low * (self._high / self._low) ** unit).clamp(self._low, self._high)


class DiskFamily(UnitBetaFamily):
    """For tasks that are uniform in a disk: the squared radius, and the angle as a share of the circle."""

    reference_type: ClassVar[type[TaskDistribution]] = Disk

    def take(self, reference: Disk) -> int:
        self._radius = reference.radius
        return 2

    def to_unit(self, tasks: Tensor) -> Tensor:
        squared = tasks.square().sum(-1) / self._radius**2
        angle = torch.atan2(tasks[:, 1], tasks[:, 0]) / (2 * math.pi)
        return torch.stack((squared, torch.where(angle < 0, angle + 1, angle)), -1)

    def from_unit(self, unit: Tensor) -> Tensor:
        radius, angle = self._radius * unit[:, 0].sqrt(), 2 * math.pi * unit[:, 1]
        return radius[:, None] * torch.stack((angle.cos(), angle.sin()), -1)


class ArcFamily(UnitBetaFamily):
    """For tasks that are uniform on the upper half circle: the angle as a share of it."""

    reference_type: ClassVar[type[TaskDistribution]] = HalfCircle

    def take(self, reference: HalfCircle) -> int:
        self._radius = reference.radius
        return 1

    def to_unit(self, tasks: Tensor) -> Tensor:
        return torch.atan2(tasks[:, 1].clamp(min=0.0), tasks[:, 0])[:, None] / math.pi

    def from_unit(self, unit: Tensor) -> Tensor:
        angle = math.pi * unit[:, 0]
        return self._radius * torch.stack((angle.cos(), angle.sin()), -1)
