"""Losses of the soft actor-critic with a value network (Haarnoja et al. 2018, arXiv 1801.01290)."""

from __future__ import annotations

import torch
from torch import Tensor


def bellman_target(reward: Tensor, terminated: Tensor, next_value: Tensor, discount: float) -> Tensor:
    """r + γ (1 − terminated) V(o'), eq. 8. A time limit is not an end: pass terminations only."""
    return reward + discount * torch.where(terminated, 0.0, next_value)


def critic_loss(q_values: tuple[Tensor, ...], target: Tensor) -> Tensor:
    """Sum over critics of the mean squared Bellman error, eq. 7 (PEARL leaves out the factor ½)."""
    target = target.detach()
    return torch.stack([(q - target).square().mean() for q in q_values]).sum()


def value_loss(value: Tensor, min_q: Tensor, log_prob: Tensor, temperature: Tensor | float) -> Tensor:
    """Mean squared error of V(o) against min Q(o, a) − α log π(a|o), eq. 5 (PEARL leaves out the factor ½)."""
    return (value - (min_q - temperature * log_prob).detach()).square().mean()


def policy_loss(min_q: Tensor, log_prob: Tensor, temperature: Tensor | float) -> Tensor:
    """Mean of α log π(a|o) − min Q(o, a), eq. 12; the gradient flows through the action."""
    return (temperature * log_prob - min_q).mean()


def temperature_loss(log_temperature: Tensor, log_prob: Tensor, target_entropy: float) -> Tensor:
    """−log α · (log π(a|o) + target entropy), the dual of the entropy constraint (arXiv 1812.05905, eq. 18)."""
    return -(log_temperature * (log_prob.detach() + target_entropy)).mean()
