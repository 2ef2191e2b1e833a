"""The evidence lower bound of VariBAD's belief model (Zintgraf et al. 2020, arXiv 1910.08348)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

RewardLikelihood = Literal["gaussian", "bernoulli"]


def consecutive_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(q_t ‖ q_{t-1}) of consecutive diagonal Gaussian beliefs, the first against N(0, I) (eq. 6).

    Args:
        mean: of q_0 (the prior's) to q_T, `[trials, time + 1, latent]`.
        log_variance: likewise.

    Returns:
        `[trials, time + 1]`.
    """
    before_mean, before_log_variance = (torch.nn.functional.pad(x[:, :-1], (0, 0, 1, 0)) for x in (mean, log_variance))
    distance = (mean - before_mean).square() + log_variance.exp()
    terms = before_log_variance - log_variance - 1.0 + distance * (-before_log_variance).exp()
    return 0.5 * terms.sum(-1)


def reward_error(predicted: Tensor, reward: Tensor, likelihood: RewardLikelihood) -> Tensor:
    """Negative log-likelihood of rewards, up to a constant factor and an additive constant.

    Args:
        predicted: output of the decoder, any shape: the reward ("gaussian", of unit variance), or the logit of
            the reward being positive ("bernoulli").
        reward: rewards, same shape.
        likelihood: as above.

    Returns:
        The squared error, or the cross-entropy in nats; same shape.
    """
    if likelihood == "bernoulli":
        positive = (reward > 0).to(predicted.dtype)
        return torch.nn.functional.binary_cross_entropy_with_logits(predicted, positive, reduction="none")
    return (predicted - reward).square()
