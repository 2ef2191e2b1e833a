"""Posterior and Diversity Synergized Task Sampling: train on candidates that are risky under one sample, and apart.

Source: Qu, Wang, Mao, Lv, Ji (ICML 2025, arXiv 2504.19139).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from datamodules.tasks.predictive import PredictiveTaskSampler
from datamodules.tasks.risk_predictor import RiskPredictorPlan
from envs.errors import require_weight


def select_risky_and_diverse(risks: Tensor, points: Tensor, n: int, diversity_weight: float) -> Tensor:
    """Greedily select `n` points with high risk that are far from each other, the riskiest first.

    Each next point maximizes ℓ(τ) / 2 + γ min_{τ′ ∈ S} ‖τ − τ′‖ over the points outside the selection S: the greedy
    approximation of max-min diversification, as in the published code for reinforcement learning.

    Args:
        risks: ℓ of every point, `[points]`.
        points: `[points, features]`.
        n: number of points to select, at most all of them.
        diversity_weight: γ.

    Returns:
        The selected rows in their order, `[n]`.
    """
    available = risks / 2
    selected = [int(available.argmax())]
    nearest = torch.full_like(risks, torch.inf)  # distance to the nearest selected point
    while len(selected) < n:
        available[selected[-1]] = -torch.inf
        nearest = torch.minimum(nearest, torch.linalg.vector_norm(points - points[selected[-1]], dim=-1))
        selected.append(int((available + diversity_weight * nearest).argmax()))
    return torch.tensor(selected)


class PDTSSampler(PredictiveTaskSampler):
    """Selects candidates by a single sample of the predictor's latent variable, and by their distance to each other.

    Posterior sampling explores without a weight for uncertainty, and diversity keeps the selection from a large pool
    from collapsing onto one region of tasks (`select_risky_and_diverse`).

    The defaults are those of the published code for domain randomization, its only one for reinforcement learning.

    Args:
        diversity_weight: weight of the distance to the nearest selected task (γ), in units of the task features, which
            span about [0, 1] (`TaskFeatures`). Published: 0.05, 1 and 8, depending on the environment.
        candidate_ratio: candidates for every task that is sampled.
        reference_share: share of the tasks that follow the reference distribution instead of being selected.
        predictor: size and training of the predictor. Published: a `kl_weight` of 1, and a `batch` of 100.
        **common: what both samplers with a predictor take (`PredictiveTaskSampler`).
    """

    def __init__(
        self,
        diversity_weight: float = 1.0,
        candidate_ratio: float = 64.0,
        reference_share: float = 0.0,
        predictor: RiskPredictorPlan = RiskPredictorPlan(kl_weight=1.0),
        **common: Any,
    ) -> None:
        super().__init__(candidate_ratio, reference_share, predictor=predictor, **common)
        hint = "PDTS uses 0.05, 1 or 8, depending on the environment."
        require_weight("diversity_weight", diversity_weight, hint, of=self)
        self.diversity_weight = diversity_weight

    def select(self, candidates: Tensor, n: int) -> Tensor:
        risks = self.predictor.sample_risks(candidates, 1, self.generator)[0]
        return select_risky_and_diverse(risks, candidates, n, self.diversity_weight)
