"""Hindsight foresight relabeling (Wan, Peng, Gangwani, ICLR 2022, arXiv 2109.09031)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.contracts import Foresight
from datamodules.relabeling.base import ProbabilisticRelabeler
from datamodules.relabeling.distribution import Choice, choose_task, entropy, log_mean_exp
from datamodules.replay import TaskReplay, Trajectories
from envs.errors import require_choice, require_positive

Utility = Literal["q", "bellman"]


class HFRRelabeler(ProbabilisticRelabeler):
    """Samples the task ψ of a trajectory τ from P(ψ | τ) ∝ exp(U_ψ(τ) − log Z_ψ).

    Hindsight: τ's rewards under ψ. Foresight: the utility U_ψ(τ) of adapting to ψ from the
    relabeled τ, which the algorithm provides. log Z_ψ, the log-mean of exp U_ψ over on-policy
    trajectories of ψ, keeps tasks with large values from attracting every trajectory.

    log Z is estimated whenever trajectories are relabeled, with the networks that give U, as in the paper. The
    published code uses that of the previous meta-iteration, estimated after its trials were collected and before its
    gradient steps, and 0 in the first meta-iteration.

    Args:
        probability: share of the trajectories that is relabeled.
        utility: `q`, the return that the adapted agent expects from start states of ψ; or `bellman`,
            minus the adapted critics' error on data of ψ.
        utility_batch: start states (`q`) or transitions (`bellman`) a task that a utility is averaged over.
        partition_contexts: on-policy contexts a task from which log Z is estimated.
        choice: a sample of the distribution, or its most probable task.
    """

    needs_foresight: ClassVar[bool] = True

    def __init__(
        self,
        probability: float = 0.5,
        utility: Utility = "q",
        utility_batch: int = 256,
        partition_contexts: int = 20,
        choice: Choice = "softmax",
    ) -> None:
        super().__init__(probability)
        require_choice("utility", utility, Utility, of=self)
        require_choice("choice", choice, Choice, of=self)
        require_positive("utility_batch", utility_batch, of=self)
        require_positive("partition_contexts", partition_contexts, of=self)
        self.utility = utility
        self.utility_batch = utility_batch
        self.partition_contexts = partition_contexts
        self.choice = choice

    @torch.no_grad()
    def choose(self, trajectories: Trajectories, replay: TaskReplay, foresight: Foresight | None) -> Tensor:
        assert foresight is not None  # checked when the run was configured
        candidates = replay.slots_with(replay.beginnings, replay.recent)
        if len(candidates) == 0:  # a small replay has lost what came before
            return trajectories.slots
        log_z = self.log_partition(candidates, replay, foresight)
        utilities = self.utilities(trajectories, candidates, replay, foresight)
        logits = utilities - log_z
        self._metrics |= {
            "relabel/utility": float(utilities.mean()),
            "relabel/log_partition": float(log_z.mean()),
            "relabel/entropy": float(entropy(logits).mean()),
        }
        return candidates[choose_task(logits, self.choice, self.generator)]

    def utilities(
        self, trajectories: Trajectories, candidates: Tensor, replay: TaskReplay, foresight: Foresight
    ) -> Tensor:
        """U_ψ(τ) for all trajectories τ and the tasks ψ of the slots `candidates`, `[trajectories, candidates]`."""
        rows = []
        for trajectory in replay.trajectory_steps(trajectories).unbind(0):  # under every task, one is a large batch
            rows.append(
                self._utility(
                    replay.compute_rewards(trajectory[None], candidates[:, None]), candidates, replay, foresight
                )
            )
        return torch.stack(rows)

    def log_partition(self, candidates: Tensor, replay: TaskReplay, foresight: Foresight) -> Tensor:
        """log Z_ψ for the task ψ of each of the slots `candidates`, `[candidates]`.

        Each context is as long as an episode and drawn from the task's latest collected,
        un-relabeled transitions.
        """
        utilities = []
        for _ in range(self.partition_contexts):
            context = replay.sample_context(candidates, replay.env.meta_spec.horizon, self.generator)
            utilities.append(self._utility(context, candidates, replay, foresight))
        return log_mean_exp(torch.stack(utilities), 0)

    def _utility(self, hindsight: TensorDict, candidates: Tensor, replay: TaskReplay, foresight: Foresight) -> Tensor:
        """Utility of row i of `hindsight` `[candidates, time]` for the task of slot `candidates[i]`, `[candidates]`."""
        if self.utility == "q":
            starts = replay.start_states(candidates, self.utility_batch, self.generator)
            return foresight.adaptation_utility(hindsight, starts, self.generator)
        transitions = replay.sample(replay.critic, candidates, self.utility_batch, self.generator)
        return foresight.bellman_utility(hindsight, transitions, self.generator)
