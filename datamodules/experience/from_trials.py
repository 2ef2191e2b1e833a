"""On-policy: the trials just collected, and for belief models some that are remembered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from datamodules.collection import Trials
from datamodules.experience.base import Experience, TrialSource
from datamodules.plans import BeliefPlan
from datamodules.replay import Ring, TrialBuffer


@dataclass(frozen=True, slots=True)
class TrialBatch:
    """The data of one meta-iteration of an on-policy algorithm.

    Attributes:
        trials: those just collected.
        remembered: for every update of the belief model, trials drawn from all that are remembered;
            empty for an algorithm that remembers none.
    """

    trials: Trials
    remembered: tuple[Trials, ...] = ()

    def to(self, device: torch.device) -> TrialBatch:
        """The same batch on `device`."""
        return TrialBatch(self.trials.to(device), tuple(trials.to(device) for trials in self.remembered))


class TrialExperience(Experience):
    """One batch a meta-iteration: the trials just collected, with draws of remembered ones.

    Args:
        belief: what the belief model learns from; None for an algorithm that remembers no trials.
        generator: source of the draws.
    """

    batches_per_iteration = 1

    def __init__(self, belief: BeliefPlan | None, generator: torch.Generator) -> None:
        self._belief = belief
        self._generator = generator
        self.remembered = TrialBuffer(belief.capacity) if belief is not None else None

    def run_iteration(self, source: TrialSource, drawn: int = 0) -> Iterator[TrialBatch]:
        trials = source.collect()
        if self._belief is None or self.remembered is None:
            yield TrialBatch(trials)
            return
        self.remembered.add(trials)
        draws = (self.remembered.draw(self._belief.trials, self._generator) for _ in range(self._belief.updates))
        yield TrialBatch(trials, tuple(draws))

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._generator.set_state(state["generator"])

    @property
    def rings(self) -> dict[str, Ring]:
        return {} if self.remembered is None else {"trials": self.remembered}
