"""What MPTS and PDTS share: select tasks from a pool of candidates by their predicted risk, without a trial on them."""

from __future__ import annotations

import copy
from abc import abstractmethod
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from datamodules.tasks.risk_predictor import RiskPredictor, RiskPredictorPlan
from datamodules.tasks.samplers import SampledTasks, TaskSampler, Wait, require_finite_scores
from datamodules.tasks.task_features import TaskFeatures
from envs.errors import require
from envs.meta_env_spec import MetaEnvSpec
from envs.task_distributions import TaskDistribution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRIALS_IN_FIGURE = 200


class PredictiveTaskSampler(TaskSampler):
    """Selects the tasks of a meta-iteration from candidates, which follow the reference distribution.

    A task's risk is minus the return of a trial on it, normalized over the trials of an update of the predictor. In a
    finite set of tasks, a candidate may occur more than once, and so may a selected task.

    Args:
        candidate_ratio: candidates for every task that is sampled.
        reference_share: share of the tasks that follow the reference distribution instead of being selected.
        warmup_updates: updates of the predictor before it selects tasks; until then (and before its first update in
            any case), all tasks follow the reference distribution. MPTS's published code for meta-RL uses 50, each of
            20 trials; PDTS's a tenth of the training. Choose fewer for a run of few trials.
        predictor: size and training of the predictor.
    """

    def __init__(
        self,
        candidate_ratio: float,
        reference_share: float,
        warmup_updates: int = 50,
        predictor: RiskPredictorPlan = RiskPredictorPlan(),
    ) -> None:
        reason = "there must be at least as many candidates as tasks to sample, and not infinitely many"
        hint = "MPTS uses 1.5, PDTS 64."
        require(1.0 <= candidate_ratio < float("inf"), "candidate_ratio", candidate_ratio, reason, hint, of=self)
        reason, hint = "it must lie in [0, 1)", "MPTS uses 0.5, PDTS 0."
        require(0.0 <= reference_share < 1.0, "reference_share", reference_share, reason, hint, of=self)
        reason = "it must not be negative"
        require(warmup_updates >= 0, "warmup_updates", warmup_updates, reason, "MPTS uses 50.", of=self)
        self.candidate_ratio = candidate_ratio
        self.reference_share = reference_share
        self.warmup_updates = warmup_updates
        self.plan = predictor

    def bind(self, meta_spec: MetaEnvSpec, reference: TaskDistribution, seed: int, rank: int) -> None:
        super().bind(meta_spec, reference, seed, rank)
        self.features = TaskFeatures(reference)
        self.predictor = RiskPredictor(self.features.size, self.plan, self.generator)
        self._scored = SampledTasks(torch.empty(0, reference.task_dim), torch.empty(0, dtype=torch.long))
        self._scores = torch.empty(0, dtype=torch.float64)  # of the trials that the predictor has not learned from yet
        self._last_update: dict[str, float] = {}
        self._compared = torch.empty(0, reference.task_dim + 2)  # latest trials: task, predicted and measured risk

    @property
    def waits_for(self) -> Wait:
        return Wait(max(self.warmup_updates, 1) * self.plan.batch, "warmup_updates")

    @property
    def selects(self) -> bool:
        """Whether the predictor has learned enough to select tasks."""
        return int(self.predictor.updates) >= max(self.warmup_updates, 1)

    @abstractmethod
    def select(self, candidates: Tensor, n: int) -> Tensor:
        """Which `n` of the tasks with the features `candidates` `[candidates, size]` to train on, `[n]`."""

    def sample(self, n: int) -> SampledTasks:
        """Tasks for the next `n` trials."""
        if not self.selects:
            return self.sample_reference(n)
        unselected = int(self.reference_share * n)
        candidates = int(self.candidate_ratio * n)
        pool = self.sample_reference(candidates + unselected)
        selected = self.select(self.features(pool)[:candidates], n - unselected)
        rows = torch.cat((selected, torch.arange(candidates, len(pool))))
        return pool[rows[torch.randperm(n, generator=self.generator)]]

    def update(self, sampled: SampledTasks, scores: Tensor) -> None:
        """Take the scores; whenever there are enough for an update, the predictor learns from them.

        Raises:
            NonFiniteError: if a score is not finite, naming the trial and its task, or if the predictor diverges.
        """
        require_finite_scores(sampled, scores)
        tasks, ids = torch.cat((self._scored.tasks, sampled.tasks)), torch.cat((self._scored.ids, sampled.ids))
        self._scored, self._scores = SampledTasks(tasks, ids), torch.cat((self._scores, scores.double()))
        while len(self._scores) >= self.plan.batch:
            used, kept = torch.arange(len(self._scores)).tensor_split([self.plan.batch])
            self._learn(self._scored[used], self._scores[used])
            self._scored, self._scores = self._scored[kept], self._scores[kept]

    def _learn(self, sampled: SampledTasks, scores: Tensor) -> None:
        """Compare the risks that the predictor expects with the measured ones, then update it."""
        features = self.features(sampled)
        risks = ((scores.mean() - scores) / (scores.std() + 1e-8)).float()
        row = {f"mean_{name}": mean for name, mean in zip(self.meta_spec.task_names, sampled.tasks.mean(0).tolist())}
        row["spread"] = self.features.spread(features)
        if self.predictor.updates > 0:
            predicted = self.predictor.expected_risks(features)
            compared = torch.cat((sampled.tasks, predicted[:, None], risks[:, None]), -1)
            self._compared = torch.cat((self._compared, compared))[-TRIALS_IN_FIGURE:]
            if all(bool(values.min() < values.max()) for values in (predicted, risks)):
                row["rank_correlation"] = _rank_correlation(predicted, risks)
        row["error"], row["kl"] = self.predictor.update(features, risks, self.generator)
        self._last_update = row

    def metrics(self) -> dict[str, float]:
        row = {**self._last_update, "selects": float(self.selects)}
        return {f"predictor/{name}": value for name, value in row.items()}

    def figures(self) -> dict[str, Figure]:
        if len(self._compared) == 0:
            return {}
        from datamodules.tasks.risk_figure import plot_risks  # slow to import

        tasks, predicted, risks = self._compared.tensor_split([self.reference.task_dim, self.reference.task_dim + 1], 1)
        return {"predictor/risks": plot_risks(tasks, predicted[:, 0], risks[:, 0], self.meta_spec.task_names)}

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "plan": asdict(self.plan),
            "predictor": copy.deepcopy(self.predictor.state_dict()),
            "tasks": self._scored.tasks,
            "ids": self._scored.ids,
            "scores": self._scores,
            "last_update": dict(self._last_update),
            "compared": self._compared,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            ConfigurationError: if it is the state of a predictor of another size.
        """
        for key in ("batch", "width"):
            value, saved = getattr(self.plan, key), state["plan"][key]
            reason = f"the checkpoint is of a run with {saved}"
            require(value == saved, key, value, reason, "Configure it as it was.", of=self.plan)
        super().load_state_dict(state)
        self.predictor.load_state_dict(state["predictor"])
        self._scored, self._scores = SampledTasks(state["tasks"], state["ids"]), state["scores"]
        self._last_update = dict(state["last_update"])
        self._compared = state["compared"]


def _rank_correlation(predicted: Tensor, measured: Tensor) -> float:
    """Spearman's, of two `[n]`, neither of them constant."""
    from scipy.stats import spearmanr  # slow to import

    return float(spearmanr(predicted.numpy(), measured.numpy()).statistic)
