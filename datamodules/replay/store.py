"""Stored transitions, each once, in order of arrival."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.replay.disk import mapped_storage


def _warn_of_size(size: int) -> None:
    """Say that a replay of `size` bytes, which takes its memory only as it fills, will not fit some day."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else size
    if size > memory:
        warnings.warn(
            f"a full replay will take {size / 1e9:.1f} GB, and this machine has {memory / 1e9:.1f} GB: set "
            "data.replay_storage to disk, or lower data.replay_capacity.",
            stacklevel=2,
        )


class TransitionStore:
    """A ring of transitions, addressed by a number that counts all transitions ever stored.

    Args:
        capacity: transitions kept; the oldest are overwritten.
        folder: where their files are; None to keep them in memory.
    """

    def __init__(self, capacity: int, folder: Path | None = None) -> None:
        self.capacity = capacity
        self._folder = folder
        self._clear(first=0)

    def _clear(self, first: int) -> None:
        """Hold nothing; the next transition is number `first`."""
        self._storage: Any = None
        self.written = first

    def _reserve(self, like: TensorDict) -> Any:
        """Room for transitions like these."""
        if self._folder is not None:
            return mapped_storage(like, self.capacity, self._folder)
        from torchrl.data import LazyTensorStorage  # slow to import

        _warn_of_size(self.capacity * sum(column[0].numel() * column.element_size() for column in like.values()))
        return LazyTensorStorage(self.capacity)

    @property
    def oldest(self) -> int:
        """Number of the oldest transition still kept."""
        return max(0, self.written - self.capacity)

    def append(self, transitions: TensorDict) -> int:
        """Store `transitions` `[n]`; the number of the first of them.

        Raises:
            ConfigurationError: if they are to be kept on disk, and there is no room.
        """
        n = len(transitions)
        if n > self.capacity:
            raise ValueError(f"{n} transitions at once do not fit into a replay of {self.capacity}.")
        if self._storage is None:
            self._storage = self._reserve(transitions)
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
