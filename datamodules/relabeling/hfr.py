"""Hindsight foresight relabeling (Wan, Peng, Gangwani, ICLR 2022, arXiv 2109.09031)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.contracts import Foresight
from datamodules.relabeling.base import ProbabilisticRelabeler
from datamodules.replay import TaskReplay, Trajectories
from envs.errors import require_positive


class HFRRelabeler(ProbabilisticRelabeler):
    """Draws the task ψ of a trajectory τ from P(ψ | τ) ∝ exp(U_ψ(τ) − log Z_ψ).

    Hindsight: τ's rewards under ψ. Foresight: the utility U_ψ(τ) of adapting to ψ from the
    relabeled τ, which the algorithm provides. log Z_ψ, the log-mean of exp U_ψ over on-policy
    trajectories of ψ, keeps tasks with large values from taking everything.

    Args:
        probability: share of the trajectories that is relabeled.
        start_states: start states a task over which a utility is averaged.
        partition_contexts: on-policy contexts a task from which log Z is estimated.
    """

    needs_foresight: ClassVar[bool] = True

    def __init__(self, probability: float = 0.5, start_states: int = 256, partition_contexts: int = 20) -> None:
        super().__init__(probability)
        require_positive("data.relabeler.init_args.start_states", start_states)
        require_positive("data.relabeler.init_args.partition_contexts", partition_contexts)
        self.start_states = start_states
        self.partition_contexts = partition_contexts
        self._metrics: dict[str, float] = {}

    @torch.no_grad()
    def choose(self, trajectories: Trajectories, replay: TaskReplay, foresight: Foresight | None) -> Tensor:
        assert foresight is not None  # checked when the run was configured
        candidates = replay.slots_with(replay.critic, replay.recent)
        log_z = self.log_partition(candidates, replay, foresight)
        utilities = self.utilities(trajectories, candidates, replay, foresight)
        log_probabilities = (utilities - log_z).log_softmax(-1)
        probabilities = log_probabilities.exp()
        self._metrics = {
            "relabel/utility": float(utilities.mean()),
            "relabel/log_partition": float(log_z.mean()),
            "relabel/entropy": float(-(probabilities * log_probabilities).sum(-1).mean()),
        }
        return candidates[torch.multinomial(probabilities, 1, generator=self.generator)[:, 0]]

    def utilities(
        self, trajectories: Trajectories, candidates: Tensor, replay: TaskReplay, foresight: Foresight
    ) -> Tensor:
        """U_ψ(τ) for all trajectories τ and the tasks ψ of the slots `candidates`, `[trajectories, candidates]`."""
        steps = replay.trajectory_steps(trajectories)
        rows = []
        for trajectory in steps.unbind(0):  # one at a time: a trajectory under every task is a large batch already
            hindsight = replay.price(trajectory[None], replay.tasks[candidates][:, None])
            starts = replay.start_observations(candidates, self.start_states, self.generator)
            rows.append(foresight.adaptation_utility(hindsight, starts, self.generator))
        return torch.stack(rows)

    def log_partition(self, candidates: Tensor, replay: TaskReplay, foresight: Foresight) -> Tensor:
        """log Z_ψ for the task ψ of each of the slots `candidates`, `[candidates]`.

        Each context is as long as an episode and drawn from the task's latest collected,
        un-relabeled transitions.
        """
        horizon = replay.env.world.horizon
        utilities = []
        for _ in range(self.partition_contexts):
            context: TensorDict = replay.draw(replay.recent, candidates, horizon, self.generator)
            context.set("valid", torch.ones(context.batch_size, dtype=torch.bool))
            starts = replay.start_observations(candidates, self.start_states, self.generator)
            utilities.append(foresight.adaptation_utility(context, starts, self.generator))
        return torch.stack(utilities).logsumexp(0) - math.log(self.partition_contexts)

    def metrics(self) -> dict[str, float]:
        return {**super().metrics(), **self._metrics}
