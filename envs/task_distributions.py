"""Reference distributions of tasks: from which an environment's validation and test tasks are sampled."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from envs.constructor_arguments import RemembersArguments
from envs.errors import require, require_positive_and_finite
from envs.returned import returned

MOST_TASKS_IN_A_MESSAGE = 25


def _returning_tasks(sample: Callable[..., Any]) -> Callable[..., Tensor]:
    @functools.wraps(sample)
    def checked(self: TaskDistribution, n: int, generator: torch.Generator) -> Tensor:
        return returned(sample(self, n, generator), self, "sample", (n, self.task_dim))

    return checked


def _returning_flags(contains: Callable[..., Any]) -> Callable[..., Tensor]:
    @functools.wraps(contains)
    def checked(self: TaskDistribution, tasks: Tensor) -> Tensor:
        return returned(contains(self, tasks), self, "contains", tuple(tasks.shape[:-1]), torch.bool, tasks.device)

    return checked


class TaskDistribution(RemembersArguments, ABC):
    """A distribution over task vectors `[task_dim]`.

    What `sample` and `contains` of a subclass return is checked and copied; tasks may be whole numbers, flags, float64
    or numpy's, and become float32.
    """

    task_dim: int

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for name, checked in (("sample", _returning_tasks), ("contains", _returning_flags)):
            own = vars(cls).get(name)
            if own is not None and not getattr(own, "__isabstractmethod__", False):
                setattr(cls, name, checked(own))

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """`n` independent tasks, `[n, task_dim]`."""

    @abstractmethod
    def contains(self, tasks: Tensor) -> Tensor:
        """Whether each of `tasks` `[n, task_dim]` is a task of this environment, `[n]`."""

    @property
    def region(self) -> str:
        """Which tasks there are, for a message; "" if that cannot be said in a few words."""
        return ""

    def objection(self, task: Tensor) -> str:
        """Why `task` `[task_dim]`, which is none of these, cannot be used."""
        return f"it lies outside the environment's tasks{self.region and f' ({self.region})'}"


class _Box(TaskDistribution):
    """Tasks in a box."""

    def __init__(self, low: list[float], high: list[float]) -> None:
        require(
            len(low) == len(high) > 0 and all(a < b for a, b in zip(low, high)),
            "task bounds",
            (low, high),
            "every lower bound must lie below its upper bound",
            "Correct the environment's task bounds.",
        )
        self.low = torch.tensor(low, dtype=torch.float32)
        self.high = torch.tensor(high, dtype=torch.float32)
        self.task_dim = len(low)

    def contains(self, tasks: Tensor) -> Tensor:
        return ((tasks >= self.low) & (tasks <= self.high)).all(-1)

    @property
    def region(self) -> str:
        bounds = [f"{low:g} to {high:g}" for low, high in zip(self.low.tolist(), self.high.tolist())]
        return bounds[0] if len(set(bounds)) == 1 else ", ".join(bounds)


class UniformBox(_Box):
    """Independent uniform coordinates.

    Args:
        low: lower bound of every coordinate.
        high: upper bound of every coordinate, above `low`.
    """

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        unit = torch.rand(n, self.task_dim, generator=generator)
        return self.low + (self.high - self.low) * unit


class LogUniformBox(_Box):
    """Independent coordinates, each uniform in its logarithm.

    Args:
        low: lower bound of every coordinate, above 0.
        high: upper bound of every coordinate, above `low`.
    """

    def __init__(self, low: list[float], high: list[float]) -> None:
        super().__init__(low, high)
        require(
            min(low) > 0,
            "task bounds",
            (low, high),
            "every bound must be positive",
            "Correct the environment's task bounds.",
        )

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        unit = torch.rand(n, self.task_dim, generator=generator)
        # Rounding may step over a bound by one bit, and such a task would be refused.
        return (self.low * (self.high / self.low) ** unit).clamp(self.low, self.high)


class Exponential(TaskDistribution):
    """One coordinate with an exponential distribution.

    Args:
        mean: mean of the coordinate.
    """

    task_dim = 1

    def __init__(self, mean: float) -> None:
        require(mean > 0, "mean", mean, "it must be positive", "KhazadDum's motion noise has a mean of 0.1.")
        self.mean = mean

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return -self.mean * torch.log1p(-torch.rand(n, 1, generator=generator))

    def contains(self, tasks: Tensor) -> Tensor:
        return ((tasks >= 0) & torch.isfinite(tasks)).all(-1)

    @property
    def region(self) -> str:
        return "at least 0"


def typed_slack(radius: float) -> float:
    """How far from a circle a point may lie that was typed with two decimals, and still be meant to lie on it."""
    return min(0.0075, 0.05 * radius)


def _require_radius(radius: float) -> None:
    require_positive_and_finite("radius", radius, "Correct the environment's tasks.")


class HalfCircle(TaskDistribution):
    """Points on the upper half circle around the origin, uniform in the angle.

    Args:
        radius: distance of every task from the origin.
    """

    task_dim = 2

    def __init__(self, radius: float) -> None:
        _require_radius(radius)
        self.radius = radius

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        angle = math.pi * torch.rand(n, generator=generator)
        return self.radius * torch.stack((angle.cos(), angle.sin()), -1)

    def contains(self, tasks: Tensor) -> Tensor:
        slack = typed_slack(self.radius)
        distance: Tensor = torch.linalg.vector_norm(tasks, dim=-1)
        return ((distance - self.radius).abs() <= slack) & (tasks[..., 1] >= -slack)

    @property
    def region(self) -> str:
        return f"the upper half circle of radius {self.radius:g} around the origin"


class Disk(TaskDistribution):
    """Points uniform in a disk around the origin.

    Args:
        radius: largest distance of a task from the origin.
    """

    task_dim = 2

    def __init__(self, radius: float) -> None:
        _require_radius(radius)
        self.radius = radius

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        radius = self.radius * torch.rand(n, generator=generator).sqrt()
        angle = 2 * math.pi * torch.rand(n, generator=generator)
        return radius[:, None] * torch.stack((angle.cos(), angle.sin()), -1)

    def contains(self, tasks: Tensor) -> Tensor:
        distance: Tensor = torch.linalg.vector_norm(tasks, dim=-1)
        return distance <= self.radius + typed_slack(self.radius)

    @property
    def region(self) -> str:
        return f"at most {self.radius:g} from the origin"


class Gaussian(TaskDistribution):
    """Tasks with a normal distribution.

    Args:
        mean: of every coordinate.
        covariance: `[task_dim, task_dim]`, symmetric and positive definite.
    """

    def __init__(self, mean: list[float], covariance: list[list[float]]) -> None:
        self.mean = torch.tensor(mean, dtype=torch.float32)
        self.covariance = torch.tensor(covariance, dtype=torch.float32)
        self.task_dim = len(mean)
        square = self.covariance.shape == (self.task_dim, self.task_dim)
        require(
            square
            and bool((self.covariance == self.covariance.T).all())
            and bool((torch.linalg.eigvalsh(self.covariance) > 0).all()),
            "covariance",
            covariance,
            f"it must be a symmetric, positive definite matrix of {self.task_dim} rows",
            "Correct the environment's tasks.",
        )

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        factor: Tensor = torch.linalg.cholesky(self.covariance)
        return self.mean + torch.randn(n, self.task_dim, generator=generator) @ factor.T

    def contains(self, tasks: Tensor) -> Tensor:
        return torch.isfinite(tasks).all(-1)


class FiniteTasks(TaskDistribution):
    """A uniform choice from a finite list of tasks.

    Args:
        tasks: all tasks, `[number, task_dim]`.
    """

    def __init__(self, tasks: list[list[float]]) -> None:
        try:
            self.tasks = torch.tensor(tasks, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError):  # not numbers, or not as many in every row
            self.tasks = torch.empty(0)
        require(
            self.tasks.ndim == 2 and self.tasks.numel() > 0,
            "tasks",
            tasks,
            "it must be a list of tasks, each a list of the same number of numbers",
            "Write tasks of one number as [[-1.0], [1.0]].",
        )
        self.task_dim = self.tasks.shape[-1]

    def sample_indices(self, n: int, generator: torch.Generator) -> Tensor:
        """Where in the list `n` tasks stand, `[n]`; override this one to choose them otherwise."""
        return torch.randint(len(self.tasks), (n,), generator=generator)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return self.tasks[self.sample_indices(n, generator)]

    def contains(self, tasks: Tensor) -> Tensor:
        return (tasks[..., None, :] == self.tasks).all(-1).any(-1)

    @property
    def region(self) -> str:
        few = len(self.tasks) <= MOST_TASKS_IN_A_MESSAGE
        return " or ".join(map(str, self.tasks.tolist())) if few else f"a list of {len(self.tasks)}"


class GroupedTasks(FiniteTasks):
    """A uniform choice from a finite list of tasks that come in groups of like ones, such as a benchmark's scenes.

    Args:
        tasks: all tasks, `[number, task_dim]`.
        groups: the group of each, `[number]`, counted from 0.
    """

    def __init__(self, tasks: list[list[float]], groups: list[int]) -> None:
        super().__init__(tasks)
        self.groups = torch.tensor(groups)


class DealtTasks(GroupedTasks):
    """Tasks that are dealt like cards: none comes twice before all have come once, and the groups take turns."""

    def sample_indices(self, n: int, generator: torch.Generator) -> Tensor:
        deals = [self._deal(generator) for _ in range(math.ceil(n / len(self.tasks)))]
        return torch.cat(deals)[:n]

    def _deal(self, generator: torch.Generator) -> Tensor:
        order = torch.randperm(len(self.tasks), generator=generator)
        groups = self.groups[order]
        before = torch.nn.functional.one_hot(groups).cumsum(0)[torch.arange(len(order)), groups]  # of the same group
        return order[before.argsort(stable=True)]
