"""How collected data are saved: rings of numbered rows, of which only new ones have to be written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from torch import Tensor


class Ring(Protocol):
    """Rows that are numbered in order of arrival and never change; the oldest are overwritten.

    Attributes:
        capacity: rows kept.
        written: rows ever stored; the next one gets this number.
    """

    capacity: int
    written: int

    @property
    def oldest(self) -> int:
        """Number of the oldest row still kept."""
        ...

    def rows(self, first: int, last: int) -> dict[str, Tensor]:
        """The rows with numbers from `first` to before `last`, by column, `[last - first, ...]`."""
        ...

    def refill(self, first: int, blocks: Iterable[dict[str, Tensor]]) -> None:
        """Hold nothing but the rows of `blocks`, numbered from `first` on without a gap."""
        ...
