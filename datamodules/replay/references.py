"""A task's buffer is a list of references into the store: relabeling appends a reference and copies no data."""

from __future__ import annotations

import torch
from torch import Tensor

UNUSED = 2**62  # beyond every running total, and exact as a double (padding goes through one)
INITIAL_WIDTH = 16


class ReferenceTable:
    """For every task slot, a list of references: runs of consecutive transitions in the store.

    A reference is (start, length). `ends` holds the running total of the lengths, so that drawing
    uniformly over a slot's transitions, whatever their episodes' lengths, is one binary search for
    all slots and draws together.

    Args:
        slots: number of task slots.
    """

    def __init__(self, slots: int) -> None:
        self.counts = torch.zeros(slots, dtype=torch.long)
        self._starts = torch.zeros(slots, INITIAL_WIDTH, dtype=torch.long)
        self._ends = torch.full((slots, INITIAL_WIDTH), UNUSED)

    @property
    def totals(self) -> Tensor:
        """Transitions referred to, with repetitions, by slot, `[slots]`."""
        last = self._ends.gather(1, (self.counts - 1).clamp(min=0)[:, None])[:, 0]
        return torch.where(self.counts > 0, last, 0)

    def append(self, slots: Tensor, starts: Tensor, lengths: Tensor) -> None:
        """Append references (`starts[i]`, `lengths[i]`) to the lists of `slots[i]`, in order; all `[n]`."""
        if len(slots) == 0:
            return
        order = slots.argsort(stable=True)
        slots, starts, lengths = slots[order], starts[order], lengths[order]
        added = torch.bincount(slots, minlength=len(self.counts))
        self._widen(int((self.counts + added).max()))
        first = (added.cumsum(0) - added)[slots]  # where each slot's group begins among the new references
        column = self.counts[slots] + torch.arange(len(slots)) - first
        running = lengths.cumsum(0)
        before_group = (running - lengths)[first]
        self._starts[slots, column] = starts
        self._ends[slots, column] = self.totals[slots] + running - before_group
        self.counts += added

    def _widen(self, needed: int) -> None:
        width = self._starts.shape[1]
        if needed <= width:
            return
        extra = max(needed, 2 * width) - width
        self._starts = torch.nn.functional.pad(self._starts, (0, extra))
        self._ends = torch.nn.functional.pad(self._ends, (0, extra), value=UNUSED)

    def clear(self, slots: Tensor) -> None:
        """Empty the lists of `slots` `[n]`."""
        self.counts[slots] = 0
        self._ends[slots] = UNUSED

    def discard_before(self, oldest: int) -> None:
        """Drop references that reach back before transition number `oldest`."""
        column = torch.arange(self._starts.shape[1])
        used = column < self.counts[:, None]
        kept = used & (self._starts >= oldest)
        if bool((kept == used).all()):
            return
        lengths = self._ends.diff(dim=1, prepend=torch.zeros(len(self.counts), 1, dtype=torch.long))
        slots, columns = kept.nonzero(as_tuple=True)
        starts, kept_lengths = self._starts[slots, columns], lengths[slots, columns]
        self.clear(torch.arange(len(self.counts)))
        self.append(slots, starts, kept_lengths)

    def sample(self, slots: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Numbers of `n` transitions of each of `slots` `[k]`, uniform with replacement, `[k, n]`."""
        totals = self.totals[slots]
        self._require_content(slots, totals)
        uniform = torch.rand(len(slots), n, generator=generator, dtype=torch.float64)
        position = (uniform * totals[:, None]).long()
        ends = self._ends[slots]
        column = torch.searchsorted(ends, position, right=True)
        before = torch.where(column > 0, ends.gather(1, (column - 1).clamp(min=0)), 0)
        return self._starts[slots[:, None], column] + position - before

    def sample_references(self, slots: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`n` references of each of `slots` `[k]`, uniform with replacement.

        Returns:
            Numbers of the first transitions of the references there are to choose from (of no more
            than `n`), `[k, choices]`, and which of them each draw is, `[k, n]`.
        """
        counts = self.counts[slots]
        self._require_content(slots, counts)
        uniform = torch.rand(len(slots), n, generator=generator, dtype=torch.float64)
        chosen = (uniform * counts[:, None]).long()
        widest = int(counts.max())
        if widest > n:
            return self._starts[slots[:, None], chosen], torch.arange(n).expand_as(chosen)
        choices = torch.arange(widest).minimum(counts[:, None] - 1)
        return self._starts[slots[:, None], choices], chosen

    def state_dict(self) -> dict[str, Tensor]:
        """All references: `counts` `[slots]`, `starts` and `ends` `[slots, longest list]`."""
        longest = int(self.counts.max())
        return {
            "counts": self.counts.clone(),
            "starts": self._starts[:, :longest].clone(),
            "ends": self._ends[:, :longest].clone(),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""
        slots, longest = state["starts"].shape
        self.counts = state["counts"].clone()
        self._starts = torch.zeros(slots, INITIAL_WIDTH, dtype=torch.long)
        self._ends = torch.full((slots, INITIAL_WIDTH), UNUSED)
        self._widen(longest)
        self._starts[:, :longest], self._ends[:, :longest] = state["starts"], state["ends"]

    @staticmethod
    def _require_content(slots: Tensor, sizes: Tensor) -> None:
        if bool((sizes == 0).any()):
            slot = int(slots[(sizes == 0).nonzero()[0, 0]])
            raise RuntimeError(f"task slot {slot} has no data to draw from yet.")
