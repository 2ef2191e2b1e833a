"""Contract 3: task samplers decide which tasks are trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from envs.errors import ConfigurationError, NonFiniteError, require
from envs.meta_env_spec import MetaEnvSpec
from envs.randomness import make_generator
from envs.task_distributions import FiniteTasks, TaskDistribution

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class SampledTasks:
    """Tasks, each with an id that identifies it from the sampler to the replay's slots.

    Attributes:
        tasks: `[n, task_dim]`.
        ids: `[n]`; equal ids mean the same task.
    """

    tasks: Tensor
    ids: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Tensor) -> SampledTasks:
        return SampledTasks(self.tasks[rows], self.ids[rows])


class Wait(NamedTuple):
    """How many trials a task sampler only learns from, and the setting that says so."""

    trials: int
    setting: str


def require_finite_scores(sampled: SampledTasks, scores: Tensor) -> None:
    """Raise a `NonFiniteError` that names trial and task if one of `scores` `[n]` is not finite."""
    broken = (~torch.isfinite(scores)).nonzero()[:, 0]
    if len(broken) > 0:
        trial = int(broken[0])
        raise NonFiniteError(
            f"the return of trial {trial} on task {sampled.tasks[trial].tolist()} is {float(scores[trial])}, but "
            "the task sampler needs finite scores: correct the environment's reward function."
        )


class TaskSampler(ABC):
    """Samples training tasks, and may learn from how the trials on them went.

    `bind` is called once, before anything else.
    """

    meta_spec: MetaEnvSpec
    reference: TaskDistribution
    generator: torch.Generator

    def bind(self, meta_spec: MetaEnvSpec, reference: TaskDistribution, seed: int, rank: int) -> None:
        """Take the environment's description, its reference distribution of tasks and a random stream.

        Raises:
            ConfigurationError: if this sampler cannot work with that distribution.
        """
        hint = "Create a new one for every RolloutDataModule."
        require("generator" not in vars(self), "task_sampler", type(self).__name__, "it has one already", hint)
        self.meta_spec = meta_spec
        self.reference = reference
        self.generator = make_generator(seed, rank, "task sampler")
        self._every_task_has_a_slot = False
        self._next_id = len(reference.tasks) if isinstance(reference, FiniteTasks) else 0

    @property
    def samples_new_tasks(self) -> bool:
        """Whether `sample` may give tasks that `initial` did not; each of them takes over a slot."""
        return not self._every_task_has_a_slot

    @property
    def waits_for(self) -> Wait | None:
        """How long it samples from the reference distribution before it acts on what it learned; None if never."""
        return None

    @property
    def tail_share(self) -> float | None:
        """The share of worst tasks whose returns it is to raise; None if there is no such share."""
        return None

    @property
    def compares_with_validation(self) -> bool:
        """Whether the returns of validation trials are compared with those of training trials."""
        return False

    def initial(self, n: int) -> SampledTasks:
        """The tasks that `n` task slots start with, from the reference distribution; they are never scored.

        Of a finite set, no task is there twice; if the environment has at most `n` tasks, they are all its tasks.
        """
        if not isinstance(self.reference, FiniteTasks):
            return self.sample_reference(n)
        tasks = self.reference.tasks
        if len(tasks) <= n:
            self._every_task_has_a_slot = True
            return SampledTasks(tasks.clone(), torch.arange(len(tasks)))
        ids = torch.randperm(len(tasks), generator=self.generator)[:n]
        return SampledTasks(tasks[ids], ids)

    def sample_reference(self, n: int) -> SampledTasks:
        """`n` tasks from the reference distribution; the id of one of a finite set is its index in the set."""
        if not isinstance(self.reference, FiniteTasks):
            return self.with_new_ids(self.reference.sample(n, self.generator))
        indices = self.reference.sample_indices(n, self.generator)
        return SampledTasks(self.reference.tasks[indices], indices)

    def with_new_ids(self, tasks: Tensor) -> SampledTasks:
        """`tasks` `[n, task_dim]`, none of which was given an id before."""
        first, self._next_id = self._next_id, self._next_id + len(tasks)
        return SampledTasks(tasks, torch.arange(first, self._next_id))

    @abstractmethod
    def sample(self, n: int) -> SampledTasks:
        """Tasks for the next `n` trials. Each is scored by a later `update`."""

    def update(self, sampled: SampledTasks, scores: Tensor) -> None:  # noqa: B027 - a sampler need not learn
        """Learn from the returns `scores` `[n]` of trials on tasks that were sampled before."""

    def withdraw(self, n: int) -> None:  # noqa: B027 - likewise
        """Forget the last `n` tasks that were sampled: their trials were broken off, and no `update` follows."""

    def take_validation(self, scores: Tensor) -> None:  # noqa: B027 - likewise
        """Learn from the trial returns `[n]` of a validation, whose tasks follow the reference distribution."""

    def metrics(self) -> dict[str, float]:
        """What to log of the sampler's state."""
        return {}

    def figures(self) -> dict[str, Figure]:
        """Figures of the sampler's state, by name."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """All state, as tensors and primitives."""
        return {"generator": self.generator.get_state(), "next_id": self._next_id}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.generator.set_state(state["generator"])
        self._next_id = state["next_id"]


class UniformTaskSampler(TaskSampler):
    """Samples every task from the environment's reference distribution."""

    def sample(self, n: int) -> SampledTasks:
        return self.sample_reference(n)


class FixedTaskSampler(TaskSampler):
    """Samples from a set of tasks that never changes, as in the published PEARL and HFR runs.

    Args:
        tasks: the set; None takes one task per task slot from the reference distribution.
    """

    def __init__(self, tasks: list[list[float]] | None = None) -> None:
        require(
            tasks is None or len(tasks) > 0,
            "tasks",
            tasks,
            "a training set needs at least one task",
            "List the tasks, or leave the key out to sample them from the environment's distribution.",
            of=self,
        )
        self._given = tasks

    @property
    def samples_new_tasks(self) -> bool:
        return False

    def bind(self, meta_spec: MetaEnvSpec, reference: TaskDistribution, seed: int, rank: int) -> None:
        super().bind(meta_spec, reference, seed, rank)
        if self._given is not None:
            key, hint = "tasks", "Correct the list."
            right_size = all(isinstance(task, list) and len(task) == reference.task_dim for task in self._given)
            require(right_size, key, self._given, f"every task must be {reference.task_dim} numbers", hint, of=self)
            tasks = torch.tensor(self._given, dtype=torch.float32)
            for task in tasks[~reference.contains(tasks)]:
                raise ConfigurationError(key, task.tolist(), reference.objection(task), hint, of=self)
            distinct, counts = tasks.unique(dim=0, return_counts=True)
            for task in distinct[counts > 1]:
                raise ConfigurationError(key, task.tolist(), "it is listed more than once", hint, of=self)

    def initial(self, n: int) -> SampledTasks:
        if self._given is None:
            self._set = super().initial(n)
        else:
            require(
                len(self._given) == n,
                "task_slots",
                n,
                f"a fixed set of {len(self._given)} tasks needs as many task slots",
                f"Set it to {len(self._given)}.",
            )
            self._set = self.with_new_ids(torch.tensor(self._given, dtype=torch.float32))
        return self._set

    def sample(self, n: int) -> SampledTasks:
        return self._set[torch.randint(len(self._set), (n,), generator=self.generator)]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "tasks": self._set.tasks, "ids": self._set.ids}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._set = SampledTasks(state["tasks"], state["ids"])
