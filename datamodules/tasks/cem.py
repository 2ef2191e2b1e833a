"""RoML's task sampler: the cross-entropy method over-samples the tasks with the lowest return.

Source: Greenberg, Mannor, Chechik, Meirom (NeurIPS 2023, arXiv 2301.11147), Algorithms 1 and 2.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.tasks.cem_round import REFERENCE_SCORES, ReferenceMode, RoundResult, reference_quantile, select_tasks
from datamodules.tasks.families import TaskFamily, matching_family
from datamodules.tasks.samplers import SampledTasks, TaskSampler, Wait, require_finite_scores
from envs.errors import ContractError, arguments_of, require, require_choice, require_finite
from envs.meta_env_spec import MetaEnvSpec
from envs.task_distributions import TaskDistribution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOGGED_QUANTILES = (0.05, 0.5, 0.95)
TASKS_IN_FIGURE = 4096
PUBLISHED = (
    "RoML uses alpha 0.05 (0.01 for KhazadDum), round_size 128, reference_share 0.2, selection_share 0.2, "
    "smoothing 0.5 and threshold_smoothing 0."
)

log = logging.getLogger(__name__)


class CEMTaskSampler(TaskSampler):
    """Moves a distribution of training tasks towards those with the lowest trial returns.

    A round is `round_size` draws: a share `reference_share`, at random positions, from the
    reference distribution, the rest from D_φ. When all are scored, φ is fitted to the draws
    below the larger of two quantiles, and averaged with the old φ.

    Args:
        family: the distributions D_φ to move within; None takes the one that matches the environment's tasks.
        alpha: level of the CVaR that is optimized: the share of tasks that counts as the tail.
        round_size: scored draws per update (B).
        reference_share: share of a round drawn from the reference distribution (ν).
        selection_share: smallest share of a round that φ is fitted to (β); with `reference_draws`, of
            the draws from D_φ.
        smoothing: weight of the old φ in the new one (λ).
        reference_mode: whose α-quantile is the reference quantile: that of the whole round, weighted (`round`); of its
            draws from the reference distribution (`reference_draws`); of the last validation
            (`validation`; none is used before the first one, and validation trials must have as many episodes as
            training trials for the scores to compare); or none at all (`none`), so that φ always
            follows the worst share β of its own draws.
        threshold: a fixed score to use in place of the reference quantile.
        threshold_smoothing: weight of the old estimate of the reference quantile in the new one.
        weight_clip: weights are clipped to [1 / weight_clip, weight_clip]; None leaves them. Clipping biases the
            quantile of a weighted round, so it is best combined with `reference_draws`.
        least_effective_draws: an effective sample size below which the method counts as collapsed: φ is
            then fitted to little more than a single draw, and a warning is logged.
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
        require_choice("reference_mode", reference_mode, ReferenceMode, of=self)
        for name, value in (("alpha", alpha), ("selection_share", selection_share)):
            require(0.0 < value <= 1.0, name, value, "it must lie in (0, 1]", PUBLISHED, of=self)
        for name, value in (
            ("reference_share", reference_share),
            ("smoothing", smoothing),
            ("threshold_smoothing", threshold_smoothing),
        ):
            require(0.0 <= value < 1.0, name, value, "it must lie in [0, 1)", PUBLISHED, of=self)
        share = selection_share
        if reference_mode == "reference_draws":
            share *= 1.0 - int(reference_share * round_size) / max(round_size, 1)
        needs_reference = reference_share > 0.0 or reference_mode == "reference_draws"
        for part, of_round, needed in (
            ("drawn from the reference distribution", reference_share, needs_reference),
            ("to which φ is fitted", share, True),
        ):
            require(
                of_round * round_size >= 1.0 or not needed,
                "round_size",
                round_size,
                f"a share of {of_round:.3g} of it, {part}, must be at least one draw",
                PUBLISHED,
                of=self,
            )
        require(
            weight_clip is None or weight_clip >= 1.0,
            "weight_clip",
            weight_clip,
            "it must be at least 1",
            "Leave it out for no clipping.",
            of=self,
        )
        if threshold is not None:
            require_finite("threshold", threshold, "Leave it out to use a quantile.", of=self)
        require_finite("least_effective_draws", least_effective_draws, "0 never warns.", of=self)
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
        self._history: list[dict[str, float]] = []
        self._validated = torch.empty(0, dtype=torch.float64)
        self._from_reference = torch.empty(0, dtype=torch.bool)  # of the draws to come
        self._draws = TensorDict({}, [0])  # those of unfinished rounds; an unscored one has the score NaN

    @property
    def samples_new_tasks(self) -> bool:
        return super().samples_new_tasks and not self._family.keeps_to_slots

    @property
    def waits_for(self) -> Wait:
        return Wait(self.round_size, "round_size")

    @property
    def tail_share(self) -> float | None:
        return self.alpha if self.threshold is None and self.reference_mode != "none" else None

    @property
    def compares_with_validation(self) -> bool:
        return self.reference_mode == "validation"

    def bind(self, meta_spec: MetaEnvSpec, reference: TaskDistribution, seed: int, rank: int) -> None:
        super().bind(meta_spec, reference, seed, rank)
        with arguments_of(self):
            self._family = matching_family(reference) if self.family is None else self.family
            self._family.bind(reference)
        if self._family.keeps_to_slots:
            return
        self.parameters = self._family.reference_parameters.clone()
        if self._family.task_set is None:
            self._check_coverage()

    def _check_coverage(self) -> None:
        """Refuse a family whose D_φ0 does not cover the reference distribution."""
        tasks = self.reference.sample(256, torch.Generator().manual_seed(0))
        covered = torch.isfinite(self._family.log_prob(self.parameters, tasks))
        missed = tasks[(~covered).nonzero()[0, 0]].tolist() if not bool(covered.all()) else None
        require(
            missed is None,
            "family",
            type(self._family).__name__,
            f"it gives no density to {missed}, a task of the environment's reference distribution",
            "Correct the family, or leave the key out to take the one that matches the environment.",
            of=self,
        )

    def initial(self, n: int) -> SampledTasks:
        initial = super().initial(n)
        self._family.bind_slots(initial.tasks)
        if self._family.keeps_to_slots:
            self.parameters = self._family.reference_parameters.clone()
        return initial

    def sample(self, n: int) -> SampledTasks:
        """Tasks for the next `n` trials.

        Raises:
            ContractError: if a draw has no density under the reference distribution.
        """
        while len(self._from_reference) < n:
            order = torch.randperm(self.round_size, generator=self.generator)
            plan = order < int(self.reference_share * self.round_size)
            self._from_reference = torch.cat((self._from_reference, plan))
        from_reference, self._from_reference = self._from_reference.tensor_split([n])
        draws = self._family.sample(self._family.reference_parameters, n, self.generator)
        draws[~from_reference] = self._family.sample(self.parameters, n, self.generator)[~from_reference]
        density = self._family.log_prob(self._family.reference_parameters, draws)
        weights = torch.where(from_reference, 1.0, self._density_ratio(draws, density))
        tasks = self._family.vectors(draws)
        broken = (~torch.isfinite(density + weights)).nonzero()[:, 0]
        if len(broken) > 0:
            raise ContractError(
                f"{type(self._family).__name__}.sample",
                f"the task {tasks[broken[0]].tolist()}, which has no density under the reference distribution",
                "tasks in the support of the reference distribution from every D_φ",
            )
        sampled = self.with_new_ids(tasks) if self._family.task_set is None else SampledTasks(tasks, draws)
        table = TensorDict(
            {
                "id": sampled.ids,
                "draw": draws,
                "weight": weights,
                "from_reference": from_reference,
                "score": torch.full((n,), torch.nan, dtype=torch.float64),
            },
            [n],
        )
        self._draws = torch.cat((self._draws, table)) if len(self._draws) > 0 else table
        return sampled

    def _density_ratio(self, draws: Tensor, reference: Tensor) -> Tensor:
        """The weights of `draws` with the log-density `reference`, `[n]` both."""
        ratio = (reference - self._family.log_prob(self.parameters, draws)).exp()
        return ratio if self.weight_clip is None else ratio.clamp(1.0 / self.weight_clip, self.weight_clip)

    def update(self, sampled: SampledTasks, scores: Tensor) -> None:
        """Take the scores; whenever a round is full, move φ.

        Raises:
            NonFiniteError: if a score is not finite, naming the trial and its task.
            ValueError: if a task has more scores than draws.
        """
        require_finite_scores(sampled, scores)
        rows = self._awaiting(sampled.ids)
        if len(rows) > 0:
            self._draws["score"] = self._draws["score"].index_copy(0, rows, scores.double())
        while len(self._draws) >= self.round_size and bool(self._draws["score"][: self.round_size].isfinite().all()):
            self._finish_round(self._draws[: self.round_size])
            self._draws = self._draws[self.round_size :]

    def _awaiting(self, ids: Tensor) -> Tensor:
        """The row `[n]` of the earliest draw of each of `ids` `[n]` that has no score yet."""
        rows: dict[int, list[int]] = defaultdict(list)
        if len(self._draws) > 0:
            for row in self._draws["score"].isnan().nonzero()[:, 0].tolist():
                rows[int(self._draws["id"][row])].append(row)
        found = []
        for task_id in ids.tolist():
            if not rows[task_id]:
                raise ValueError(f"a score was given for the task with id {task_id}, which awaits none.")
            found.append(rows[task_id].pop(0))
        return torch.tensor(found, dtype=torch.long)

    def withdraw(self, n: int) -> None:
        self._draws, withdrawn = self._draws.split([len(self._draws) - n, n])
        self._from_reference = torch.cat((withdrawn["from_reference"], self._from_reference))

    def take_validation(self, scores: Tensor) -> None:
        """Take the trial returns `[n]` of a validation, whose tasks follow the reference distribution."""
        self._validated = scores.double().cpu().clone()

    def _finish_round(self, draws: TensorDict) -> None:
        reference = self._reference_quantile(draws)
        self.last_round = select_tasks(draws, reference, self.selection_share, self.generator)
        chosen = draws[self.last_round.selected]
        if len(chosen) > 0:
            fitted = self._family.fit(chosen["draw"], chosen["weight"])
            self.parameters = self.smoothing * self.parameters + (1 - self.smoothing) * fitted
        self.rounds += 1
        self._history.append({"round": float(self.rounds), **self._row()})
        if self._collapsed and not any(row["collapsed"] for row in self._history[:-1]):
            log.warning(
                "The cross-entropy method was fitted to little more than a single task in round %d: to %.1f effective "
                "draws, fewer than %.1f. The run goes on, and one such round does no harm. If cem/collapsed stays at "
                "1, raise data.task_sampler.init_args.round_size or selection_share, or set weight_clip.",
                self.rounds,
                self.last_round.effective_sample_size,
                self.least_effective_draws,
            )

    def _reference_quantile(self, draws: TensorDict) -> Tensor:
        scores, weights = REFERENCE_SCORES[self.reference_mode](draws, self._validated)
        if self.threshold is not None:
            estimate = torch.tensor(self.threshold, dtype=torch.float64)
        elif len(scores) > 0:
            estimate = reference_quantile(scores, weights, self.alpha)
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
        names = self.meta_spec.task_names
        levels, generator = torch.tensor(LOGGED_QUANTILES), torch.Generator().manual_seed(0)
        quantiles = self._family.quantiles(self.parameters, levels, generator)
        row = {f"mean_{name}": value for name, value in zip(names, self._family.mean(self.parameters).tolist())}
        for level, values in zip(LOGGED_QUANTILES, quantiles.tolist()):
            row |= {f"quantile_{level:.2f}_{name}": value for name, value in zip(names, values)}
        if self.last_round is not None:
            if math.isfinite(self.last_round.reference_quantile):
                row["reference_quantile_of_score"] = self.last_round.reference_quantile
            row["internal_quantile_of_score"] = self.last_round.internal_quantile
            row["selected_share"] = float(self.last_round.selected.float().mean())
            row["effective_sample_size"] = self.last_round.effective_sample_size
            row["collapsed"] = float(self._collapsed)
        return row

    def metrics(self) -> dict[str, float]:
        row = self._history[-1] if self._history else self._row()
        left_out = {"round"}
        for name, ordinary in (("collapsed", 0.0), ("selected_share", self.selection_share)):
            if all(math.isclose(row.get(name, ordinary), ordinary, rel_tol=0.1) for row in self._history):
                left_out.add(name)  # until there is something to see
        return {f"cem/{name}": value for name, value in row.items() if name not in left_out}

    def example_tasks(self, n: int) -> tuple[Tensor, Tensor]:
        """`n` tasks each from D_φ and from the reference distribution, `[n, task_dim]`, for a figure.

        They come from a random stream of their own, always the same.
        """
        parameters = (self.parameters, self._family.reference_parameters)
        now, reference = (
            self._family.vectors(self._family.sample(phi, n, torch.Generator().manual_seed(0))) for phi in parameters
        )
        return now, reference

    def figures(self) -> dict[str, Figure]:
        from datamodules.tasks.density_figure import plot_density  # slow to import

        examples = self.example_tasks(TASKS_IN_FIGURE)
        return {"cem/density": plot_density(*examples, self._history, self.meta_spec.task_names)}

    def table(self) -> list[dict[str, float]]:
        """One row a round: its number, the distribution after it, and what it was based on."""
        return [dict(row) for row in self._history]

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "parameters": self.parameters,
            "task_set": self._family.task_set,
            "from_reference": self._from_reference,
            "draws": self._draws.to_dict(),
            "validated": self._validated,
            "rounds": self.rounds,
            "history": self.table(),
            "last_round": None if self.last_round is None else asdict(self.last_round),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if self._family.keeps_to_slots:
            self._family.bind_slots(state["task_set"])
        self.parameters = state["parameters"]
        self._from_reference = state["from_reference"]
        self._draws = TensorDict(state["draws"], [len(state["draws"].get("id", ()))])
        self._validated = state["validated"]
        self.rounds = state["rounds"]
        self._history = [dict(row) for row in state["history"]]
        self.last_round = None if state["last_round"] is None else RoundResult(**state["last_round"])
