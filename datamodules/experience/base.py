"""Between collection and learning: what a meta-iteration collects, and the batches that come of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import Tensor

from datamodules.collection import Trials
from datamodules.contracts import Agent
from datamodules.replay import Ring


class TrialSource(Protocol):
    """Where training trials come from (the DataModule).

    Attributes:
        agent: who runs them.
    """

    @property
    def agent(self) -> Agent: ...

    def collect(self) -> Trials:
        """A meta-iteration's trials, on tasks of the task sampler, which is told their scores."""
        ...

    def run_trials(self, tasks: Tensor, episodes: int) -> Trials:
        """Trials of `episodes` episodes on `tasks` `[n, task_dim]`, of which the task sampler is not told."""
        ...

    def watching(self, description: str, total_steps: int) -> AbstractContextManager[None]:
        """Progress is shown inside, out of at most `total_steps` environment steps."""
        ...


class Experience(ABC):
    """What was experienced, as far as the algorithm still learns from it.

    Its state is in three parts, so that a checkpoint need not be as large as the experience:
    `state_dict` is small; `rings` hold rows that never change, so that only new ones need saving;
    `tables` change everywhere.

    Attributes:
        batches_per_iteration: batches that one meta-iteration yields.
    """

    batches_per_iteration: int

    @abstractmethod
    def run_iteration(self, source: TrialSource, drawn: int = 0) -> Iterator[Any]:
        """One meta-iteration: collect, then yield the batches there are to learn from.

        `drawn`: so many of its batches were yielded before the run was interrupted; the rest are to come.
        """

    def metrics(self) -> dict[str, float]:
        """What to log of the last meta-iteration."""
        return {}

    @property
    def rings(self) -> dict[str, Ring]:
        """What was experienced, by name."""
        return {}

    def tables(self) -> dict[str, Tensor]:
        """How it is referred to, by name."""
        return {}

    def load_tables(self, tables: dict[str, Tensor]) -> None:  # noqa: B027 - there may be none
        """Restore what `tables` gave."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All other state, as tensors and primitives."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
