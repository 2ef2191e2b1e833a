"""RoML's task sampler: the cross-entropy method over-samples the tasks with the lowest return.

Source: Greenberg, Mannor, Chechik, Meirom (NeurIPS 2023, arXiv 2301.11147), Algorithms 1 and 2.
"""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from datamodules.tasks.families import TaskFamily, matching_family
from datamodules.tasks.samplers import TaskSampler
from envs.base import MetaEnvSpec
from envs.errors import ConfigurationError, require, require_finite
from envs.task_distributions import TaskDistribution

LOGGED_QUANTILES = (0.05, 0.5, 0.95)
KEY = "data.task_sampler.init_args"

ReferenceMode = Literal["round", "reference_draws", "validation", "none"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RoundResult:
    """What one update of the distribution was based on.

    Attributes:
        reference_quantile: estimate of the α-quantile of the score under the reference distribution; minus
            infinity where none is used.
        internal_quantile: β-quantile of the round's scores.
        effective_sample_size: (Σw)² / Σw² over the weights of the selected draws: how many draws of equal
            weight would say as much.
        selected: the draws that the new parameters were fitted to, `[round]`.
    """

    reference_quantile: float
    internal_quantile: float
    effective_sample_size: float
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
    centers = weights.cumsum(0) - 0.5 * weights
    centers = (centers - centers[0]) / (centers[-1] - centers[0])
    above = int(torch.searchsorted(centers, torch.tensor(level, dtype=centers.dtype))) if level > 0 else 0
    if above == 0:
        return scores[0]
    share = (level - centers[above - 1]) / (centers[above] - centers[above - 1])
    return scores[above - 1] + share * (scores[above] - scores[above - 1])


class CEMTaskSampler(TaskSampler):
    """Moves a distribution of training tasks towards those with the lowest trial returns.

    A round is `round_size` draws: a share `reference_share`, at random positions, from the
    reference distribution, the rest from D_φ. When all are scored, φ is re-fitted to the draws
    below the larger of two quantiles, and mixed with the old φ.

    Args:
        family: the distributions D_φ to move within; None takes the one that matches the world's tasks.
        alpha: tail of tasks that is to be trained on: the level of the CVaR that is optimized.
        round_size: scored draws per update (B).
        reference_share: share of a round drawn from the reference distribution (ν).
        selection_share: smallest share of a round that φ is fitted to (β); with `reference_draws`, of
            the draws from D_φ.
        smoothing: weight of the old φ in the new one (λ).
        reference_mode: whose α-quantile is aimed at: that of the whole round, weighted (`round`); of its
            draws from the reference distribution (`reference_draws`); of the last validation
            (`validation`, and nobody's before there is one; its trials must have as many episodes as
            those of training for the scores to compare); or nobody's (`none`), so that φ always
            follows the worst share β of its own draws.
        threshold: aim at scores below this one instead of a quantile.
        threshold_smoothing: weight of the old estimate of the reference's quantile in the new one.
        weight_clip: weights are brought into [1 / weight_clip, weight_clip]; None leaves them. It biases the
            quantile of a weighted round, so `reference_draws` goes well with it.
        least_effective_draws: an effective sample size below which the method counts as collapsed: φ is
            then fitted to hardly more than a draw, and a warning is logged.
    """

    def __init__(
        self,
        family: TaskFamily | None = None,
        alpha: float = 0.05,
        round_size: int = 128,
        reference_share: float = 0.2,
        selection_share: float = 0.2,
        smoothing: float = 0.5,
        reference_mode: ReferenceMode = "round",
        threshold: float | None = None,
        threshold_smoothing: float = 0.0,
        weight_clip: float | None = None,
        least_effective_draws: float = 2.0,
    ) -> None:
        require(
            0.0 < alpha <= 1.0, f"{KEY}.alpha", alpha, "it must lie in (0, 1]", "RoML uses 0.05, or 0.01 for KhazadDum."
        )
        shares = (
            ("reference_share", reference_share),
            ("smoothing", smoothing),
            ("threshold_smoothing", threshold_smoothing),
        )
        for name, share in shares:
            require(0.0 <= share < 1.0, f"{KEY}.{name}", share, "it must lie in [0, 1)", "RoML uses 0.2, 0.5 and 0.")
        require(
            0.0 < selection_share <= 1.0,
            f"{KEY}.selection_share",
            selection_share,
            "it must lie in (0, 1]",
            "RoML uses 0.2.",
        )
        require(
            reference_share * round_size >= 1.0 or (reference_share == 0.0 and reference_mode != "reference_draws"),
            f"{KEY}.round_size",
            round_size,
            f"a share of {reference_share} of it, drawn from the reference distribution, must be at least one draw",
            "RoML uses 128 and 0.2.",
        )
        share = selection_share
        if reference_mode == "reference_draws":
            share *= 1.0 - int(reference_share * round_size) / round_size
        require(
            share * round_size >= 1.0,
            f"{KEY}.round_size",
            round_size,
            f"a share of {share:.3g} of it, to which φ is fitted, must be at least one draw",
            "RoML uses 128.",
        )
        require(
            weight_clip is None or weight_clip >= 1.0,
            f"{KEY}.weight_clip",
            weight_clip,
            "it must be at least 1",
            "Leave it out for no clipping.",
        )
        if threshold is not None:
            require_finite(f"{KEY}.threshold", threshold, "Leave it out to aim at a quantile.")
        require_finite(f"{KEY}.least_effective_draws", least_effective_draws, "0 never warns.")
        self.family = family
        self.alpha = alpha
        self.round_size = round_size
        self.reference_share = reference_share
        self.selection_share = share
        self.smoothing = smoothing
        self.reference_mode = reference_mode
        self.threshold = threshold
        self.threshold_smoothing = threshold_smoothing
        self.weight_clip = weight_clip
        self.least_effective_draws = least_effective_draws
        self.rounds = 0
        self.last_round: RoundResult | None = None
        self._table: list[dict[str, float]] = []
        self._validation_scores = torch.empty(0, dtype=torch.float64)

    @property
    def draws_new_tasks(self) -> bool:
        return super().draws_new_tasks and not self._family.keeps_to_slots

    @property
    def compares_with_validation(self) -> bool:
        return self.reference_mode == "validation"

    def bind(self, meta_spec: MetaEnvSpec, reference: TaskDistribution, seed: int, rank: int) -> None:
        super().bind(meta_spec, reference, seed, rank)
        self._family = matching_family(reference) if self.family is None else self.family
        self._family.bind(reference)
        self._from_reference = torch.empty(0, dtype=torch.bool)  # of the draws to come
        self._awaiting_weights = torch.empty(0)  # of the draws that have no score yet
        self._awaiting_reference = torch.empty(0, dtype=torch.bool)
        self._tasks = torch.empty(0, reference.task_dim)
        self._weights = torch.empty(0)
        self._is_reference = torch.empty(0, dtype=torch.bool)
        self._scores = torch.empty(0, dtype=torch.float64)
        if not self._family.keeps_to_slots:
            self._start()

    def initial(self, n: int) -> Tensor:
        tasks = super().initial(n)
        self._family.bind_slots(tasks)
        if self._family.keeps_to_slots:
            self._start()
        return tasks

    def _start(self) -> None:
        """Begin at φ0, which must cover the reference distribution."""
        self.parameters = self._family.reference_parameters.clone()
        if self._family.keeps_to_slots:
            return
        tasks = self.reference.sample(256, torch.Generator().manual_seed(0))
        covered = torch.isfinite(self._family.log_prob(self.parameters, tasks))
        stranger = tasks[(~covered).nonzero()[0, 0]].tolist() if not bool(covered.all()) else None
        require(
            stranger is None,
            f"{KEY}.family",
            type(self._family).__name__,
            f"it gives no density to {stranger}, a task of the world's reference distribution",
            "Correct the family, or leave the key out to take the one that matches the world.",
        )

    def sample(self, n: int) -> Tensor:
        """Tasks for the next `n` trials, `[n, task_dim]`.

        Raises:
            ConfigurationError: if a draw has no density under the reference distribution.
        """
        while len(self._from_reference) < n:
            order = torch.randperm(self.round_size, generator=self.generator)
            plan = order < int(self.reference_share * self.round_size)
            self._from_reference = torch.cat((self._from_reference, plan))
        from_reference, self._from_reference = self._from_reference.tensor_split([n])
        tasks = torch.where(
            from_reference[:, None],
            self._family.sample(self._family.reference_parameters, n, self.generator),
            self._family.sample(self.parameters, n, self.generator),
        )
        weights = torch.where(from_reference, 1.0, self._density_ratio(tasks))
        broken = ~torch.isfinite(weights)
        if bool(broken.any()):
            task = tasks[int(broken.nonzero()[0, 0])].tolist()
            raise ConfigurationError(
                f"{KEY}.family",
                type(self._family).__name__,
                f"it drew the task {task}, which has no density under the world's reference distribution",
                "Every D_φ must lie within its support: correct the family.",
            )
        self._awaiting_weights = torch.cat((self._awaiting_weights, weights))
        self._awaiting_reference = torch.cat((self._awaiting_reference, from_reference))
        return tasks

    def _density_ratio(self, tasks: Tensor) -> Tensor:
        reference = self._family.log_prob(self._family.reference_parameters, tasks)
        ratio = (reference - self._family.log_prob(self.parameters, tasks)).exp()
        return ratio if self.weight_clip is None else ratio.clamp(1.0 / self.weight_clip, self.weight_clip)

    def update(self, tasks: Tensor, scores: Tensor) -> None:
        """Take the scores; when a round is full, move φ.

        Raises:
            ConfigurationError: if a score is not finite, naming the trial and its task.
            ValueError: if a score was not asked for.
        """
        if len(scores) > len(self._awaiting_weights):
            raise ValueError(f"{len(scores)} scores were given for {len(self._awaiting_weights)} sampled tasks.")
        broken = ~torch.isfinite(scores)
        if bool(broken.any()):
            trial = int(broken.nonzero()[0, 0])
            raise ConfigurationError(
                "data.task_sampler",
                type(self).__name__,
                f"it needs finite scores, but the return of trial {trial} on task {tasks[trial].tolist()} is "
                f"{float(scores[trial])}",
                "Correct the world's reward function.",
            )
        weights, self._awaiting_weights = self._awaiting_weights.tensor_split([len(scores)])
        is_reference, self._awaiting_reference = self._awaiting_reference.tensor_split([len(scores)])
        self._tasks = torch.cat((self._tasks, tasks))
        self._weights = torch.cat((self._weights, weights))
        self._is_reference = torch.cat((self._is_reference, is_reference))
        self._scores = torch.cat((self._scores, scores.double()))
        while len(self._scores) >= self.round_size:
            self._finish_round()

    def take_validation(self, scores: Tensor) -> None:
        """Take the trial returns `[n]` of a validation, whose tasks follow the reference distribution."""
        self._validation_scores = scores.double().cpu().clone()

    def _finish_round(self) -> None:
        tasks, self._tasks = self._tasks.tensor_split([self.round_size])
        weights, self._weights = self._weights.tensor_split([self.round_size])
        is_reference, self._is_reference = self._is_reference.tensor_split([self.round_size])
        scores, self._scores = self._scores.tensor_split([self.round_size])
        self.last_round = self._select(scores, weights, is_reference)
        selected = self.last_round.selected
        if bool(selected.any()):
            fitted = self._family.fit(tasks[selected], weights[selected])
            self.parameters = self.smoothing * self.parameters + (1 - self.smoothing) * fitted
        self.rounds += 1
        self._table.append({"round": float(self.rounds), **self._row()})
        if self._collapsed and not any(row["collapsed"] for row in self._table[:-1]):
            log.warning(
                "The cross-entropy method has collapsed: in round %d, φ was fitted to %.1f effective draws "
                "(fewer than %.1f). A larger round_size or selection_share, or weight_clip, helps.",
                self.rounds,
                self.last_round.effective_sample_size,
                self.least_effective_draws,
            )

    def _select(self, scores: Tensor, weights: Tensor, is_reference: Tensor) -> RoundResult:
        internal = torch.quantile(scores, self.selection_share)
        reference = self._reference_quantile(scores, weights, is_reference)
        threshold = torch.maximum(internal, reference)
        selected = scores < threshold
        missing = int(self.selection_share * self.round_size) - int(selected.sum())
        if missing > 0:
            ties = (scores == threshold).nonzero()[:, 0]
            chosen = ties[torch.randperm(len(ties), generator=self.generator)[:missing]]
            selected[chosen] = True
        chosen_weights = weights[selected].double()
        effective = chosen_weights.sum().square() / chosen_weights.square().sum().clamp(min=1e-300)
        return RoundResult(float(reference), float(internal), float(effective), selected)

    def _reference_quantile(self, scores: Tensor, weights: Tensor, is_reference: Tensor) -> Tensor:
        if self.threshold is not None:
            estimate = torch.tensor(self.threshold, dtype=torch.float64)
        elif self.reference_mode == "round":
            estimate = reference_quantile(scores, weights.double(), self.alpha)
        elif self.reference_mode == "reference_draws":
            drawn = scores[is_reference]
            estimate = reference_quantile(drawn, torch.ones_like(drawn), self.alpha)
        elif self.reference_mode == "validation" and len(self._validation_scores) > 0:
            validated = self._validation_scores
            estimate = reference_quantile(validated, torch.ones_like(validated), self.alpha)
        else:
            return torch.tensor(-math.inf, dtype=torch.float64)
        if self.last_round is not None and math.isfinite(self.last_round.reference_quantile):
            old = self.last_round.reference_quantile
            estimate = self.threshold_smoothing * old + (1 - self.threshold_smoothing) * estimate
        return estimate

    @property
    def _collapsed(self) -> bool:
        return self.last_round is not None and self.last_round.effective_sample_size < self.least_effective_draws

    def _row(self) -> dict[str, float]:
        """The distribution and the last round, by name."""
        mean = self._family.mean(self.parameters)
        row = {f"mean_{name}": float(mean[i]) for i, name in enumerate(self.meta_spec.task_names)}
        quantiles = self._family.quantiles(
            self.parameters, torch.tensor(LOGGED_QUANTILES), torch.Generator().manual_seed(0)
        )
        for level, values in zip(LOGGED_QUANTILES, quantiles):
            for i, name in enumerate(self.meta_spec.task_names):
                row[f"quantile_{level:.2f}_{name}"] = float(values[i])
        if self.last_round is not None:
            if math.isfinite(self.last_round.reference_quantile):
                row["reference_quantile_of_score"] = self.last_round.reference_quantile
            row["internal_quantile_of_score"] = self.last_round.internal_quantile
            row["selected_share"] = float(self.last_round.selected.float().mean())
            row["effective_sample_size"] = self.last_round.effective_sample_size
            row["collapsed"] = float(self._collapsed)
        return row

    def metrics(self) -> dict[str, float]:
        row = self._table[-1] if self._table else self._row()
        return {f"cem/{name}": value for name, value in row.items() if name != "round"}

    def example_tasks(self, n: int) -> tuple[Tensor, Tensor]:
        """`n` tasks each from D_φ and from the reference distribution, `[n, task_dim]`, to look at.

        They come from a random stream of their own, always the same.
        """
        parameters = (self.parameters, self._family.reference_parameters)
        drawn, reference = (self._family.sample(phi, n, torch.Generator().manual_seed(0)) for phi in parameters)
        return drawn, reference

    def table(self) -> list[dict[str, float]]:
        """One row a round: its number, the distribution after it, and what it was based on."""
        return [dict(row) for row in self._table]

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "parameters": self.parameters,
            "set": getattr(self._family, "tasks", torch.empty(0)),
            "from_reference": self._from_reference,
            "awaiting_weights": self._awaiting_weights,
            "awaiting_reference": self._awaiting_reference,
            "tasks": self._tasks,
            "weights": self._weights,
            "is_reference": self._is_reference,
            "scores": self._scores,
            "validation_scores": self._validation_scores,
            "rounds": self.rounds,
            "table": self.table(),
            "last_round": None if self.last_round is None else asdict(self.last_round),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if self._family.keeps_to_slots:
            self._family.bind_slots(state["set"])
        self.parameters = state["parameters"]
        self._from_reference = state["from_reference"]
        self._awaiting_weights = state["awaiting_weights"]
        self._awaiting_reference = state["awaiting_reference"]
        self._tasks = state["tasks"]
        self._weights = state["weights"]
        self._is_reference = state["is_reference"]
        self._scores = state["scores"]
        self._validation_scores = state["validation_scores"]
        self.rounds = state["rounds"]
        self._table = [dict(row) for row in state["table"]]
        self.last_round = None if state["last_round"] is None else RoundResult(**state["last_round"])
