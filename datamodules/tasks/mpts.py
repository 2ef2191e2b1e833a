"""Model Predictive Task Sampling: train on the candidates with the highest upper confidence bound of the risk.

Source: Wang, Xiao, Mao, Qu, Shen, Lv, Ji (2025, arXiv 2501.11039).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from datamodules.tasks.predictive import PredictiveTaskSampler
from envs.errors import require, require_weight


class MPTSSampler(PredictiveTaskSampler):
    """Selects the candidates with the largest γ₀ m(ℓ) + γ₁ σ(ℓ), the paper's acquisition function.

    m and σ are mean and standard deviation of the predicted risk ℓ over samples of the predictor's latent variable.
    Half of the tasks follow the reference distribution, so that the others are covered too.

    The defaults are those of the published code for meta-RL.

    Args:
        mean_weight: weight of the mean (γ₀).
        std_weight: weight of the standard deviation (γ₁).
        posterior_samples: samples of the latent variable.
        candidate_ratio: candidates for every task that is sampled.
        reference_share: share of the tasks that follow the reference distribution instead of being selected.
        **common: what both samplers with a predictor take (`PredictiveTaskSampler`).
    """

    def __init__(
        self,
        mean_weight: float = 1.0,
        std_weight: float = 5.0,
        posterior_samples: int = 50,
        candidate_ratio: float = 1.5,
        reference_share: float = 0.5,
        **common: Any,
    ) -> None:
        super().__init__(candidate_ratio, reference_share, **common)
        for name, value in (("mean_weight", mean_weight), ("std_weight", std_weight)):
            require_weight(name, value, "MPTS uses 1 and 5 for meta-RL.", of=self)
        reason = "with std_weight at 0 too, every task has the same score"
        require(mean_weight + std_weight > 0.0, "mean_weight", mean_weight, reason, "MPTS uses 1 and 5.", of=self)
        reason = "a standard deviation needs at least 2 samples"
        require(posterior_samples >= 2, "posterior_samples", posterior_samples, reason, "MPTS uses 50.", of=self)
        self.mean_weight = mean_weight
        self.std_weight = std_weight
        self.posterior_samples = posterior_samples

    def select(self, candidates: Tensor, n: int) -> Tensor:
        risks = self.predictor.sample_risks(candidates, self.posterior_samples, self.generator)
        bound = self.mean_weight * risks.mean(0) + self.std_weight * risks.std(0)
        return bound.topk(n).indices
