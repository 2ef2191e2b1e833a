"""What a round of the cross-entropy method selects: the draws whose score is below a quantile.

A round is a table of draws: `score`, `weight` and `from_reference`, `[round]` each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from tensordict import TensorDict
from torch import Tensor

ReferenceMode = Literal["round", "reference_draws", "validation", "none"]
ReferenceScores: TypeAlias = Callable[[TensorDict, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class RoundResult:
    """What one update of the distribution was based on.

    Attributes:
        reference_quantile: estimate of the α-quantile of the score under the reference distribution; minus
            infinity if none is used.
        internal_quantile: β-quantile of the round's scores.
        effective_sample_size: (Σw)² / Σw² over the weights of the selected draws: the number of equally
            weighted draws that would be as informative.
        selected: the draws that the new parameters were fitted to, `[round]`.
    """

    reference_quantile: float
    internal_quantile: float
    effective_sample_size: float
    selected: Tensor


def reference_quantile(scores: Tensor, weights: Tensor, alpha: float) -> Tensor:
    """α-quantile of the distribution that `scores` `[n]`, weighted by `weights` `[n]`, were sampled from.

    Smallest and largest score count as the 1/(n+1) and n/(n+1) quantiles of that distribution; in
    between, the weighted empirical quantile is interpolated linearly.
    """
    n = len(scores)
    if n == 1:
        return scores[0]
    level = min(max((alpha * (n + 1) - 1) / (n - 1), 0.0), 1.0)
    order = scores.argsort()
    scores, weights = scores[order], weights[order]
    centers = weights.cumsum(0) - 0.5 * weights
    centers = (centers - centers[0]) / (centers[-1] - centers[0])
    above = int(torch.searchsorted(centers, torch.tensor(level, dtype=centers.dtype))) if level > 0 else 0
    if above == 0:
        return scores[0]
    share = (level - centers[above - 1]) / (centers[above] - centers[above - 1])
    return scores[above - 1] + share * (scores[above] - scores[above - 1])


def whole_round(draws: TensorDict, validated: Tensor) -> tuple[Tensor, Tensor]:
    """All draws of the round, with their importance weights."""
    return draws["score"], draws["weight"].double()


def reference_draws(draws: TensorDict, validated: Tensor) -> tuple[Tensor, Tensor]:
    """The round's draws from the reference distribution."""
    scores = draws["score"][draws["from_reference"]]
    return scores, torch.ones_like(scores)


def last_validation(draws: TensorDict, validated: Tensor) -> tuple[Tensor, Tensor]:
    """The trial returns of the last validation."""
    return validated, torch.ones_like(validated)


def no_scores(draws: TensorDict, validated: Tensor) -> tuple[Tensor, Tensor]:
    """None: φ follows the worst of its own draws."""
    return torch.empty(0), torch.empty(0)


REFERENCE_SCORES: dict[ReferenceMode, ReferenceScores] = {
    "round": whole_round,
    "reference_draws": reference_draws,
    "validation": last_validation,
    "none": no_scores,
}
"""By mode, the scores that stand for the reference distribution, and their weights; empty if there are none."""


def select_tasks(draws: TensorDict, reference: Tensor, share: float, generator: torch.Generator) -> RoundResult:
    """Select the draws below `reference` or the `share`-quantile, whichever is larger, filled up from those at it."""
    scores = draws["score"]
    internal = torch.quantile(scores, share)
    threshold = torch.maximum(internal, reference)
    selected = scores < threshold
    missing = int(share * len(scores)) - int(selected.sum())
    if missing > 0:
        ties = (scores == threshold).nonzero()[:, 0]
        selected[ties[torch.randperm(len(ties), generator=generator)[:missing]]] = True
    weights = draws["weight"][selected].double()
    effective = weights.sum().square() / weights.square().sum().clamp(min=1e-300)
    return RoundResult(float(reference), float(internal), float(effective), selected)
