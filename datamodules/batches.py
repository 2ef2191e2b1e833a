"""What an on-policy algorithm is given to learn from."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from datamodules.collection import Trials


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
