"""Between collection and learning: trials go in, the batches that an algorithm learns from come out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from torch import Tensor

from datamodules.collection import Trials
from datamodules.contracts import Agent
from datamodules.replay import Ring
from datamodules.tasks import SampledTasks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Experience(ABC):
    """The collected data that the algorithm still learns from.

    Its state is in three parts, so that a checkpoint need not be as large as the data:
    `state_dict` is small; `rings` hold rows that never change, so that only new ones need saving;
    `tables` change everywhere.

    Attributes:
        batches_per_iteration: batches that are sampled in one meta-iteration.
    """

    batches_per_iteration: int

    def slots_to_fill(self) -> list[tuple[Tensor, Tensor]]:
        """Slots `[n]` that need data before the first meta-iteration, and their tasks `[n, task_dim]`, in groups."""
        return []

    def fill(self, slots: Tensor, trials: Trials) -> None:  # noqa: B027 - there may be no slots
        """Take initial `trials` of a single episode on the tasks of `slots` `[n]`."""

    @abstractmethod
    def add(self, sampled: SampledTasks, trials: Trials, agent: Agent) -> None:
        """Take a meta-iteration's `trials` on the `sampled` tasks, run by `agent`."""

    @abstractmethod
    def batch(self) -> Any:
        """The next batch to learn from."""

    def metrics(self) -> dict[str, float]:
        """What to log of the last meta-iteration."""
        return {}

    def figures(self) -> dict[str, Figure]:
        """Figures of the collected data, by name."""
        return {}

    @property
    def rings(self) -> dict[str, Ring]:
        """The collected data, by name."""
        return {}

    def tables(self) -> dict[str, Tensor]:
        """The references to it, by name."""
        return {}

    def load_tables(self, tables: dict[str, Tensor]) -> None:  # noqa: B027 - there may be none
        """Restore what `tables` gave."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All other state, as tensors and primitives."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
