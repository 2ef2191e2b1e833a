"""The linear feature baseline, fitted to the returns that it is used for (Duan et al. 2016, arXiv 1604.06778)."""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST_OBSERVATION = 10.0
TIME_UNIT = 100.0  # steps


def baseline_features(observation: Tensor) -> Tensor:
    """Features of the baseline: observation, its square, three powers of time, and 1.

    Args:
        observation: `[..., time, observation_dim]`, from an episode's first step on; clipped to [-10, 10].

    Returns:
        `[..., time, 2 * observation_dim + 4]`.
    """
    clipped = observation.clamp(-LARGEST_OBSERVATION, LARGEST_OBSERVATION)
    time = torch.arange(observation.shape[-2], dtype=observation.dtype, device=observation.device) / TIME_UNIT
    powers = torch.stack((time, time**2, time**3, torch.ones_like(time)), -1)
    return torch.cat((clipped, clipped.square(), powers.expand(*clipped.shape[:-1], 4)), -1)


def fitted_values(observation: Tensor, returns: Tensor, valid: Tensor, ridge: float = 1e-5) -> Tensor:
    """The values of a baseline that is fitted, for every task, to the task's own episodes by ridge regression.

    Args:
        observation: `[tasks, episodes, time, observation_dim]`.
        returns: (discounted) return from each step on, `[tasks, episodes, time]`.
        valid: the steps that exist, `[tasks, episodes, time]`.
        ridge: weight of the coefficients' squared norm.

    Returns:
        `[tasks, episodes, time]`, 0 where not `valid`.
    """
    # In double precision: powers of time are nearly collinear over a short episode.
    features = (baseline_features(observation) * valid[..., None]).flatten(1, 2).double()
    targets = (returns * valid).flatten(1).double()
    normal = features.mT @ features + ridge * torch.eye(features.shape[-1], dtype=features.dtype, device=returns.device)
    coefficients = torch.linalg.solve(normal, features.mT @ targets[..., None])
    values: Tensor = (features @ coefficients).view_as(returns).to(returns.dtype)
    return values
