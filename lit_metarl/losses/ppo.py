"""Proximal policy optimization (Schulman et al. 2017, arXiv 1707.06347) and its advantages (1506.02438)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def discounted_sums(inputs: Tensor, decays: Tensor) -> Tensor:
    """y_t = x_t + d_t · y_{t-1} with y before the first step 0, for `inputs` and `decays` `[rows, time]`.

    One operation per step: as fast as a closed form for the few hundred steps of a trial, without the overflow of
    its growing powers; torchrl's `reward2go` takes longer.
    """
    sums, total = [], inputs.new_zeros(len(inputs))
    for value, decay in zip(inputs.T.contiguous().unbind(), decays.T.contiguous().unbind()):
        total = torch.addcmul(value, decay, total)
        sums.append(total)
    return torch.stack(sums, 1)


def generalized_advantages(
    reward: Tensor, value: Tensor, cut_off: Tensor, discount: float, gae_lambda: float
) -> Tensor:
    """Generalized advantage estimates of whole trials (eq. 16), `[trials, time]`.

    Values flow across the borders between a trial's episodes; the value after the trial's end is 0. The successor
    of a step in `cut_off` is unknown: its advantage is 0, and the step before it bootstraps from its value. This
    matches how VariBAD's code handles time limits.

    torchrl's `generalized_advantage_estimate` gives the same if such a step ends an episode with a reward equal to
    its value, but takes twice the time; its vectorized form is less exact (over 1e-6 of the largest advantage at
    λ = 1).

    Args:
        reward: `[trials, time]`, 0 after a trial's end.
        value: V of the step's state, `[trials, time]`, 0 after a trial's end.
        cut_off: the steps whose successor is unknown, `[trials, time]`.
        discount: γ.
        gae_lambda: λ.
    """
    known = (~cut_off).float()
    next_value = functional.pad(value[:, 1:], (0, 1))
    errors = known * (reward + discount * next_value - value)
    return discounted_sums(errors.flip(1), (discount * gae_lambda) * known.flip(1)).flip(1)


def policy_loss(log_ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """Minus the clipped surrogate objective (eq. 7) of every step, shaped as the arguments.

    Args:
        log_ratio: log-probability of the action under the new policy minus that under the old one.
        advantage: estimated advantage of the action.
        clip: ε.
    """
    ratio = log_ratio.exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage)


def value_loss(value: Tensor, old_value: Tensor, target: Tensor, clip: float) -> Tensor:
    """Half the Huber loss of every step's value, or of the value clipped to the old one's vicinity if that is larger.

    Args:
        value: V under the new parameters.
        old_value: V when the data were collected.
        target: advantage plus old value.
        clip: how far the clipped value may be from the old one.
    """
    clipped = old_value + (value - old_value).clamp(-clip, clip)
    loss = functional.smooth_l1_loss(value, target, reduction="none")
    clipped_loss = functional.smooth_l1_loss(clipped, target, reduction="none")
    return 0.5 * torch.maximum(loss, clipped_loss)
