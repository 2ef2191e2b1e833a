"""Sampling from the relabeling distribution P(ψ | data) ∝ exp(utility − log Z)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Choice = Literal["softmax", "argmax"]


def choose_task(logits: Tensor, choice: Choice, generator: torch.Generator) -> Tensor:
    """An index `[n]` for every row of `logits` `[n, tasks]`: a sample of their softmax, or the largest."""
    if choice == "argmax":
        return logits.argmax(-1)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]


def entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax of each row of `logits` `[n, tasks]`, nats, `[n]`."""
    log_probabilities = logits.log_softmax(-1)
    return -(log_probabilities.exp() * log_probabilities).sum(-1)


def log_mean_exp(values: Tensor, dim: int) -> Tensor:
    """log of the mean of exp(`values`) over `dim`."""
    return values.logsumexp(dim) - math.log(values.shape[dim])
