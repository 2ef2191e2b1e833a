"""Diagonal Gaussians as beliefs over a task's latent variable."""

from __future__ import annotations

import torch
from torch import Tensor

VARIANCE_FLOOR = 1e-7


def product_of_gaussians(means: Tensor, variances: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and variance of the normalized product of Gaussian factors (PEARL, Rakelly et al. 2019, eq. 2).

    Args:
        means: `[..., factors, latent]`.
        variances: `[..., factors, latent]`, raised to 1e-7 where smaller.
        valid: `[..., factors]`, which factors count; None for all. Without any, the result is the
            standard normal prior.

    Returns:
        Mean and variance, `[..., latent]` each.
    """
    precisions = variances.clamp(min=VARIANCE_FLOOR).reciprocal()
    if valid is not None:
        precisions = precisions * valid[..., None]
    precision = precisions.sum(-2)
    weighted = (means * precisions).sum(-2)
    if valid is None:
        return weighted / precision, precision.reciprocal()
    seen = precision > 0
    precision = torch.where(seen, precision, 1.0)
    return weighted / precision, precision.reciprocal()


def mean_of_valid(vectors: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean `[..., latent]` of `vectors` `[..., n, latent]` where `valid` `[..., n]`; 0 without any."""
    if valid is None:
        return vectors.mean(-2)
    return (vectors * valid[..., None]).sum(-2) / valid.sum(-1, keepdim=True).clamp(min=1)


def kl_to_standard_normal(mean: Tensor, variance: Tensor) -> Tensor:
    """KL(N(mean, variance) ‖ N(0, I)), summed over the last dimension."""
    return 0.5 * (variance + mean.square() - 1.0 - variance.log()).sum(-1)
