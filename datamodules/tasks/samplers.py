"""Contract 3: task samplers decide which tasks are trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from envs.base import MetaEnvSpec
from envs.errors import ConfigurationError, require
from envs.randomness import make_generator
from envs.task_distributions import FiniteTasks, TaskDistribution


class TaskSampler(ABC):
    """Draws training tasks, and may learn from how the trials on them went.

    `bind` is called once, before anything else, with the world and its reference distribution.
    """

    meta_spec: MetaEnvSpec
    reference: TaskDistribution
    generator: torch.Generator

    def bind(self, meta_spec: MetaEnvSpec, reference: TaskDistribution, seed: int, rank: int) -> None:
        """Take the world, its reference distribution of tasks and a random stream.

        Raises:
            ConfigurationError: if this sampler cannot work with that distribution.
        """
        self.meta_spec = meta_spec
        self.reference = reference
        self.generator = make_generator(seed, rank, "task sampler")
        self._every_task_has_a_slot = False

    @property
    def draws_new_tasks(self) -> bool:
        """Whether `sample` may give tasks that `initial` did not; each needs a slot of its own then."""
        return not self._every_task_has_a_slot

    @property
    def compares_with_validation(self) -> bool:
        """Whether the returns of validation trials are set against those of training trials."""
        return False

    def initial(self, n: int) -> Tensor:
        """The tasks that `n` task slots start with, `[n, task_dim]`: reference draws, never scored.

        Where the world has no more tasks than that, they are all its tasks, each once.
        """
        if isinstance(self.reference, FiniteTasks) and len(self.reference.tasks) <= n:
            self._every_task_has_a_slot = True
            return self.reference.tasks.clone()
        return self.reference.sample(n, self.generator)

    @abstractmethod
    def sample(self, n: int) -> Tensor:
        """Tasks for the next `n` trials, `[n, task_dim]`. Each is scored by the next `update`."""

    def update(self, tasks: Tensor, scores: Tensor) -> None:  # noqa: B027 - a sampler need not learn
        """Learn from the trial returns `scores` `[n]` of the last sampled `tasks` `[n, task_dim]`."""

    def take_validation(self, scores: Tensor) -> None:  # noqa: B027 - likewise
        """Learn from the trial returns `[n]` of a validation, whose tasks follow the reference distribution."""

    def metrics(self) -> dict[str, float]:
        """What to log of the sampler's state."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """All state, as tensors and primitives."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.generator.set_state(state["generator"])


class UniformTaskSampler(TaskSampler):
    """Draws every task anew from the world's reference distribution."""

    def sample(self, n: int) -> Tensor:
        return self.reference.sample(n, self.generator)


class FixedTaskSampler(TaskSampler):
    """Draws from a set of tasks that never changes, as the published PEARL and HFR runs do.

    Args:
        tasks: the set; None draws one task per task slot from the reference distribution.
    """

    def __init__(self, tasks: list[list[float]] | None = None) -> None:
        require(
            tasks is None or len(tasks) > 0,
            "data.task_sampler.init_args.tasks",
            tasks,
            "a training set needs at least one task",
            "List the tasks, or leave the key out to draw them from the world's distribution.",
        )
        self._given = tasks
        self._tasks = torch.empty(0)

    @property
    def draws_new_tasks(self) -> bool:
        return False

    def bind(self, meta_spec: MetaEnvSpec, reference: TaskDistribution, seed: int, rank: int) -> None:
        super().bind(meta_spec, reference, seed, rank)
        if self._given is not None:
            key, hint = "data.task_sampler.init_args.tasks", "Correct the list."
            right_size = all(isinstance(task, list) and len(task) == reference.task_dim for task in self._given)
            require(right_size, key, self._given, f"every task must be {reference.task_dim} numbers", hint)
            tasks = torch.tensor(self._given, dtype=torch.float32)
            for task in tasks[~reference.contains(tasks)]:
                raise ConfigurationError(key, task.tolist(), reference.objection(task), hint)
            distinct, counts = tasks.unique(dim=0, return_counts=True)
            for task in distinct[counts > 1]:
                raise ConfigurationError(key, task.tolist(), "it is listed more than once", hint)

    def initial(self, n: int) -> Tensor:
        if self._given is None:
            self._tasks = super().initial(n)
        else:
            require(
                len(self._given) == n,
                "data.task_slots",
                n,
                f"a fixed set of {len(self._given)} tasks needs as many task slots",
                f"Set data.task_slots to {len(self._given)}.",
            )
            self._tasks = torch.tensor(self._given, dtype=torch.float32)
        return self._tasks

    def sample(self, n: int) -> Tensor:
        return self._tasks[torch.randint(len(self._tasks), (n,), generator=self.generator)]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "tasks": self._tasks}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._tasks = state["tasks"]
