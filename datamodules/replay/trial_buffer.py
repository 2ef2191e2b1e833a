"""Whole trials, for belief models that learn from more of them than the latest."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from datamodules.collection import Trials

STEP_KEYS = ("action", "reward", "sparse_reward", "terminated", "valid")


class TrialBuffer:
    """A ring of trials.

    Each observation is stored once, since the one after a step is the one before the next. Memory is
    reserved when the first trials arrive.

    Args:
        capacity: trials kept; the oldest are overwritten.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.written = 0
        self._columns: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return min(self.written, self.capacity)

    @property
    def oldest(self) -> int:
        """Number of the oldest trial still kept."""
        return max(0, self.written - self.capacity)

    def add(self, trials: Trials) -> None:
        """Remember `trials`; at most `capacity` at once.

        Raises:
            ValueError: if there are more.
        """
        n = len(trials.tasks)
        if n > self.capacity:
            raise ValueError(f"{n} trials at once do not fit into a buffer of {self.capacity}.")
        steps = trials.steps
        observation = torch.cat((steps["observation"][:, :, :1], steps["next_observation"]), 2)
        self._append({"tasks": trials.tasks, "observation": observation, **{key: steps[key] for key in STEP_KEYS}}, n)

    def _append(self, columns: dict[str, Tensor], n: int) -> None:
        rows = (self.written + torch.arange(n)) % self.capacity
        for key, values in columns.items():
            if key not in self._columns:
                self._columns[key] = values.new_empty(self.capacity, *values.shape[1:])
            self._columns[key][rows] = values
        self.written += n

    def sample(self, n: int, generator: torch.Generator) -> Trials:
        """`n` different trials, or all there are, without features and success.

        Raises:
            ValueError: if there are none.
        """
        if len(self) == 0:
            raise ValueError("The buffer holds no trials yet.")
        rows = torch.randperm(len(self), generator=generator)[:n]
        drawn = {key: values[rows] for key, values in self._columns.items()}
        observation = drawn.pop("observation")
        return Trials.of(
            drawn.pop("tasks"),
            {"observation": observation[:, :, :-1], "next_observation": observation[:, :, 1:], **drawn},
        )

    # Saving (`datamodules.replay.saving.Ring`).

    def rows(self, first: int, last: int) -> dict[str, Tensor]:
        """The trials with numbers from `first` to before `last`, by column, `[last - first, ...]`."""
        numbers = torch.arange(first, last) % self.capacity
        return {key: values[numbers] for key, values in self._columns.items()}

    def refill(self, first: int, blocks: Iterable[dict[str, Tensor]]) -> None:
        """Hold nothing but the trials of `blocks`, numbered from `first` on without a gap."""
        self._columns = {}
        self.written = first
        for columns in blocks:
            self._append(columns, len(columns["tasks"]))
