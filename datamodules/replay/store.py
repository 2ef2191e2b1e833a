"""Where transitions live: each once, in order of arrival."""

from __future__ import annotations

import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.data import LazyTensorStorage


class TransitionStore:
    """A ring of transitions, addressed by a number that counts all transitions ever stored.

    Args:
        capacity: transitions kept; the oldest give way.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.written = 0
        self._storage = LazyTensorStorage(capacity)

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
