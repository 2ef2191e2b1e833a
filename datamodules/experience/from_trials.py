"""On-policy: the trials just collected, and for belief models some that are remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from datamodules.collection import Trials
from datamodules.contracts import Agent
from datamodules.experience.base import Experience
from datamodules.plans import BeliefPlan
from datamodules.replay import Ring, TrialBuffer
from datamodules.tasks import SampledTasks


@dataclass(frozen=True, slots=True)
class TrialBatch:
    """The data of one meta-iteration of an on-policy algorithm.

    Attributes:
        trials: those just collected.
        remembered: for every update of the belief model, trials sampled from all that are remembered;
            empty for an algorithm that remembers none.
    """

    trials: Trials
    remembered: tuple[Trials, ...] = ()

    def to(self, device: torch.device) -> TrialBatch:
        """The same batch on `device`."""
        return TrialBatch(self.trials.to(device), tuple(trials.to(device) for trials in self.remembered))


class TrialExperience(Experience):
    """One batch a meta-iteration: the trials just collected, with samples of remembered ones.

    Args:
        belief: what the belief model learns from; None for an algorithm that remembers no trials.
        generator: source of the samples.
    """

    batches_per_iteration = 1
    _latest: Trials

    def __init__(self, belief: BeliefPlan | None, generator: torch.Generator) -> None:
        self._belief = belief
        self._generator = generator
        self.remembered = TrialBuffer(belief.capacity) if belief is not None else None

    def add(self, sampled: SampledTasks, trials: Trials, agent: Agent) -> None:
        self._latest = trials
        if self.remembered is not None:
            self.remembered.add(trials)

    def batch(self) -> TrialBatch:
        if self._belief is None or self.remembered is None:
            return TrialBatch(self._latest)
        samples = (self.remembered.sample(self._belief.trials, self._generator) for _ in range(self._belief.updates))
        return TrialBatch(self._latest, tuple(samples))

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._generator.set_state(state["generator"])

    @property
    def rings(self) -> dict[str, Ring]:
        return {} if self.remembered is None else {"trials": self.remembered}
