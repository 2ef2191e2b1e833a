"""Which optimizer trains a network, and how its learning rate changes over a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from envs.errors import require, require_choice, require_weight

Kind = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "linear", "cosine"]

KINDS: dict[Kind, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
SHARES: dict[Schedule, Callable[[float], float]] = {
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
}
"""The share of the learning rate by the progress of the run, from 0 to 1."""


@dataclass(frozen=True)
class OptimizerPlan:
    """An optimizer and its schedule; the learning rate is set beside it.

    Attributes:
        kind: "adam" (Kingma and Ba 2015), "adamw" (decoupled weight decay, Loshchilov and Hutter 2019) or "sgd".
        weight_decay: of matrices; biases, scales and single numbers do not decay.
        schedule: keeps the learning rate "constant", or decreases it to 0 over the run's meta-steps, on a line
            ("linear") or on half a cosine ("cosine").
    """

    kind: Kind = "adam"
    weight_decay: float = 0.0
    schedule: Schedule = "constant"

    def __post_init__(self) -> None:
        require_choice("kind", self.kind, Kind, of=self)
        require_choice("schedule", self.schedule, Schedule, of=self)
        require_weight("weight_decay", self.weight_decay, "0 is none; with adamw, 0.01 is usual.", of=self)

    def build(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        """The optimizer of `parameters`, in its fast form."""
        trained = list(parameters)
        groups: list[Any] = trained
        if self.weight_decay > 0.0:
            groups = [
                {"params": [parameter for parameter in trained if parameter.dim() >= 2]},
                {"params": [parameter for parameter in trained if parameter.dim() < 2], "weight_decay": 0.0},
            ]
        return KINDS[self.kind](groups, lr=learning_rate, weight_decay=self.weight_decay, fused=True)


class RunSchedule(LambdaLR):
    """Changes a learning rate over a run; its state is Lightning's to save.

    Args:
        optimizer: whose learning rate it is.
        schedule: how it changes.
        meta_steps: of the whole run; `step` is called after each.

    Raises:
        ConfigurationError: if the run has no end.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, schedule: Schedule, meta_steps: float) -> None:
        require(
            math.isfinite(meta_steps),
            "trainer.max_epochs",
            -1,
            f"the learning-rate schedule {schedule!r} ends with the run, which has no end",
            "Give a number of epochs, or trainer.max_steps, or keep the learning rate constant.",
        )
        self.meta_steps = meta_steps
        super().__init__(optimizer, lambda step: SHARES[schedule](min(step / meta_steps, 1.0)))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ConfigurationError: if it is of a run of another length, whose rates would be others.
        """
        saved = state_dict["meta_steps"]
        require(
            saved == self.meta_steps,
            "trainer.max_epochs",
            f"{self.meta_steps} meta-steps",
            f"the learning-rate schedule of the checkpoint's run goes over {saved} meta-steps",
            "Give the run's own trainer.max_epochs (and trainer.max_steps).",
        )
        super().load_state_dict(state_dict)
