"""RoML's task sampler: the cross-entropy method over-samples the tasks with the lowest return.

Source: Greenberg, Mannor, Chechik, Meirom (NeurIPS 2023, arXiv 2301.11147), Algorithms 1 and 2.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from datamodules.tasks.families import TaskFamily
from datamodules.tasks.samplers import TaskSampler
from envs.base import WorldSpec
from envs.errors import require
from envs.task_distributions import TaskDistribution

LOGGED_QUANTILES = (0.05, 0.5, 0.95)
KEY = "data.task_sampler.init_args"


@dataclass(frozen=True)
class RoundResult:
    """What one update of the distribution was based on.

    Attributes:
        reference_quantile: estimate of the α-quantile of the score under the reference distribution.
        internal_quantile: β-quantile of the round's scores.
        selected: the draws that the new parameters were fitted to, `[round]`.
    """

    reference_quantile: float
    internal_quantile: float
    selected: Tensor


def reference_quantile(scores: Tensor, weights: Tensor, alpha: float) -> Tensor:
    """α-quantile of the distribution that `scores` `[n]`, re-weighted by `weights` `[n]`, stand for.

    Smallest and largest score count as the 1/(n+1) and n/(n+1) quantiles of that distribution; in
    between, the weighted empirical quantile is interpolated linearly.
    """
    n = len(scores)
    if n == 1:
        return scores[0]
    level = min(max((alpha * (n + 1) - 1) / (n - 1), 0.0), 1.0)
    order = scores.argsort()
    scores, weights = scores[order], weights[order]
    centres = weights.cumsum(0) - 0.5 * weights
    centres = (centres - centres[0]) / (centres[-1] - centres[0])
    above = int(torch.searchsorted(centres, torch.tensor(level, dtype=centres.dtype))) if level > 0 else 0
    if above == 0:
        return scores[0]
    share = (level - centres[above - 1]) / (centres[above] - centres[above - 1])
    return scores[above - 1] + share * (scores[above] - scores[above - 1])


class CEMTaskSampler(TaskSampler):
    """Moves a distribution of training tasks towards those with the lowest trial returns.

    A round is `round_size` draws: a share `reference_share`, at random positions, from the
    reference distribution, the rest from D_φ. When all are scored, φ is re-fitted to the draws
    below the larger of two quantiles, and mixed with the old φ.

    Args:
        family: the distributions D_φ to move within.
        alpha: tail of tasks that is to be trained on: the level of the CVaR that is optimised.
        round_size: scored draws per update (B).
        reference_share: share of a round drawn from the reference distribution (ν).
        selection_share: smallest share of a round that φ is fitted to (β).
        smoothing: weight of the old φ in the new one (λ).
    """

    def __init__(
        self,
        family: TaskFamily,
        alpha: float = 0.05,
        round_size: int = 128,
        reference_share: float = 0.2,
        selection_share: float = 0.2,
        smoothing: float = 0.5,
    ) -> None:
        require(
            0.0 < alpha <= 1.0, f"{KEY}.alpha", alpha, "it must lie in (0, 1]", "RoML uses 0.05, or 0.01 for KhazadDum."
        )
        for name, share in (("reference_share", reference_share), ("smoothing", smoothing)):
            require(0.0 <= share < 1.0, f"{KEY}.{name}", share, "it must lie in [0, 1)", "RoML uses 0.2 and 0.5.")
        require(
            0.0 < selection_share <= 1.0,
            f"{KEY}.selection_share",
            selection_share,
            "it must lie in (0, 1]",
            "RoML uses 0.2.",
        )
        require(
            selection_share * round_size >= 1.0,
            f"{KEY}.round_size",
            round_size,
            f"a share of {selection_share} of it must be at least one draw",
            "RoML uses 128.",
        )
        self.family = family
        self.alpha = alpha
        self.round_size = round_size
        self.reference_share = reference_share
        self.selection_share = selection_share
        self.smoothing = smoothing
        self.rounds = 0
        self.last_round: RoundResult | None = None

    def bind(self, world: WorldSpec, reference: TaskDistribution, seed: int, rank: int) -> None:
        super().bind(world, reference, seed, rank)
        self.family.bind(reference)
        self.parameters = self.family.reference_parameters.clone()
        self._from_reference = torch.empty(0, dtype=torch.bool)  # of the draws to come
        self._awaiting_weights = torch.empty(0)  # of the draws that have no score yet
        self._tasks = torch.empty(0, reference.task_dim)
        self._weights = torch.empty(0)
        self._scores = torch.empty(0, dtype=torch.float64)

    def sample(self, n: int) -> Tensor:
        while len(self._from_reference) < n:
            order = torch.randperm(self.round_size, generator=self.generator)
            plan = order < int(self.reference_share * self.round_size)
            self._from_reference = torch.cat((self._from_reference, plan))
        from_reference, self._from_reference = self._from_reference.tensor_split([n])
        tasks = torch.where(
            from_reference[:, None],
            self.family.sample(self.family.reference_parameters, n, self.generator),
            self.family.sample(self.parameters, n, self.generator),
        )
        weights = torch.where(from_reference, 1.0, self._density_ratio(tasks))
        self._awaiting_weights = torch.cat((self._awaiting_weights, weights))
        return tasks

    def _density_ratio(self, tasks: Tensor) -> Tensor:
        reference = self.family.log_prob(self.family.reference_parameters, tasks)
        return (reference - self.family.log_prob(self.parameters, tasks)).exp()

    def update(self, tasks: Tensor, scores: Tensor) -> None:
        """Take the scores; when a round is full, move φ.

        Raises:
            ValueError: if a score is not finite, or was not asked for.
        """
        if len(scores) > len(self._awaiting_weights):
            raise ValueError(f"{len(scores)} scores were given for {len(self._awaiting_weights)} sampled tasks.")
        broken = ~torch.isfinite(scores)
        if bool(broken.any()):
            trial = int(broken.nonzero()[0, 0])
            raise ValueError(
                f"the return of trial {trial} on task {tasks[trial].tolist()} is {float(scores[trial])}; "
                "the cross-entropy method needs finite scores."
            )
        weights, self._awaiting_weights = self._awaiting_weights.tensor_split([len(scores)])
        self._tasks = torch.cat((self._tasks, tasks))
        self._weights = torch.cat((self._weights, weights))
        self._scores = torch.cat((self._scores, scores.double()))
        while len(self._scores) >= self.round_size:
            self._finish_round()

    def _finish_round(self) -> None:
        tasks, self._tasks = self._tasks.tensor_split([self.round_size])
        weights, self._weights = self._weights.tensor_split([self.round_size])
        scores, self._scores = self._scores.tensor_split([self.round_size])
        self.last_round = self._select(scores, weights)
        selected = self.last_round.selected
        if bool(selected.any()):
            fitted = self.family.fit(tasks[selected], weights[selected])
            self.parameters = self.smoothing * self.parameters + (1 - self.smoothing) * fitted
        self.rounds += 1

    def _select(self, scores: Tensor, weights: Tensor) -> RoundResult:
        internal = torch.quantile(scores, self.selection_share)
        reference = reference_quantile(scores, weights.double(), self.alpha)
        threshold = torch.maximum(internal, reference)
        selected = scores < threshold
        missing = int(self.selection_share * self.round_size) - int(selected.sum())
        if missing > 0:
            ties = (scores == threshold).nonzero()[:, 0]
            chosen = ties[torch.randperm(len(ties), generator=self.generator)[:missing]]
            selected[chosen] = True
        return RoundResult(float(reference), float(internal), selected)

    def metrics(self) -> dict[str, float]:
        mean = self.family.mean(self.parameters)
        logged = {f"cem/mean_{name}": float(mean[i]) for i, name in enumerate(self.world.task_names)}
        quantiles = self.family.quantiles(
            self.parameters, torch.tensor(LOGGED_QUANTILES), torch.Generator().manual_seed(0)
        )
        for level, values in zip(LOGGED_QUANTILES, quantiles):
            for i, name in enumerate(self.world.task_names):
                logged[f"cem/quantile_{level:.2f}_{name}"] = float(values[i])
        if self.last_round is not None:
            logged["cem/reference_quantile_of_score"] = self.last_round.reference_quantile
            logged["cem/internal_quantile_of_score"] = self.last_round.internal_quantile
            logged["cem/selected_share"] = float(self.last_round.selected.float().mean())
        return logged

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "parameters": self.parameters,
            "from_reference": self._from_reference,
            "awaiting_weights": self._awaiting_weights,
            "tasks": self._tasks,
            "weights": self._weights,
            "scores": self._scores,
            "rounds": self.rounds,
            "last_round": None if self.last_round is None else asdict(self.last_round),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.parameters = state["parameters"]
        self._from_reference = state["from_reference"]
        self._awaiting_weights = state["awaiting_weights"]
        self._tasks = state["tasks"]
        self._weights = state["weights"]
        self._scores = state["scores"]
        self.rounds = state["rounds"]
        self.last_round = None if state["last_round"] is None else RoundResult(**state["last_round"])
