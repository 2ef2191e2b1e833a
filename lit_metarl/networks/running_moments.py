"""Running statistics of training data, for normalization."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from datamodules import ranks


class RunningMoments(nn.Module):
    """Mean and variance of all rows seen so far, by all ranks (Chan et al. 1979); saved with the module.

    Before the first update, `normalize` changes nothing.

    Args:
        size: numbers in a row.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor
    scale: Tensor
    """1 / std, `[size]`."""
    shift: Tensor
    """−mean / std, `[size]`."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))
        self.register_buffer("count", torch.tensor(1e-4, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(size))
        self.register_buffer("shift", torch.zeros(size))

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        """Add `rows` `[n, size]`, and those of the other ranks."""
        rows = ranks.gather(rows)
        n = len(rows)
        variance, mean = torch.var_mean(rows, 0, correction=0)
        total = self.count + n
        share = (n / total).to(mean.dtype)
        difference = mean - self.mean
        self.mean += difference * share
        self.variance.lerp_(variance, share)
        self.variance += difference.square() * share * (1.0 - share)
        self.count.copy_(total)
        self.scale.copy_((self.variance + 1e-8).rsqrt())
        self.shift.copy_(-self.mean * self.scale)

    def normalize(self, rows: Tensor) -> Tensor:
        """(rows − mean) / std, `[..., size]`."""
        return torch.addcmul(self.shift, rows, self.scale)
