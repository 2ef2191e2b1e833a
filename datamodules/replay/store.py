"""Stored transitions, each once, in order of arrival."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from tensordict import TensorDict
from torch import Tensor


class TransitionStore:
    """A ring of transitions, addressed by a number that counts all transitions ever stored.

    Args:
        capacity: transitions kept; the oldest are overwritten.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._clear(first=0)

    def _clear(self, first: int) -> None:
        """Hold nothing; the next transition is number `first`."""
        from torchrl.data import LazyTensorStorage  # slow to import

        self._storage = LazyTensorStorage(self.capacity)
        self.written = first

    @property
    def oldest(self) -> int:
        """Number of the oldest transition still kept."""
        return max(0, self.written - self.capacity)

    def append(self, transitions: TensorDict) -> int:
        """Store `transitions` `[n]`; the number of the first of them."""
        n = len(transitions)
        if n > self.capacity:
            raise ValueError(f"{n} transitions at once do not fit into a replay of {self.capacity}.")
        first = self.written
        self._storage.set((first + torch.arange(n)) % self.capacity, transitions)
        self.written += n
        return first

    def get(self, numbers: Tensor) -> TensorDict:
        """The transitions with these `numbers` (any shape), which becomes the batch shape."""
        transitions: TensorDict = self._storage.get(numbers % self.capacity)
        return transitions

    # Saving (`datamodules.replay.saving.Ring`).

    def rows(self, first: int, last: int) -> dict[str, Tensor]:
        """The transitions with numbers from `first` to before `last`, by key, `[last - first, ...]`."""
        columns: dict[str, Tensor] = self.get(torch.arange(first, last)).to_dict()
        return columns

    def refill(self, first: int, blocks: Iterable[dict[str, Tensor]]) -> None:
        """Hold nothing but the transitions of `blocks`, numbered from `first` on without a gap."""
        self._clear(first)
        for columns in blocks:
            rows = len(next(iter(columns.values())))
            self.append(TensorDict(columns, [rows]))
