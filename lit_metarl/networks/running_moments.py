"""Running statistics of training data, for normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RunningMoments(nn.Module):
    """Mean and variance of all rows seen so far (Chan et al. 1979); saved with the module.

    Args:
        size: numbers in a row.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))
        self.register_buffer("count", torch.tensor(1e-4, dtype=torch.float64))

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        """Take in `rows` `[n, size]`."""
        n = len(rows)
        variance, mean = torch.var_mean(rows, 0, correction=0)
        total = self.count + n
        share = (n / total).to(mean.dtype)
        difference = mean - self.mean
        self.mean += difference * share
        self.variance.lerp_(variance, share)
        self.variance += difference.square() * share * (1.0 - share)
        self.count.copy_(total)

    @property
    def scale(self) -> Tensor:
        """1 / deviation, `[size]`."""
        return (self.variance + 1e-8).rsqrt()

    def normalise(self, rows: Tensor) -> Tensor:
        """(rows − mean) / deviation, `[..., size]`."""
        return (rows - self.mean) * self.scale
