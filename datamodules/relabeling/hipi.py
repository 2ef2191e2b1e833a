"""Inverse RL as relabeling, transition by transition (HIPI, Eysenbach et al. 2020, arXiv 2002.11089)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from datamodules.contracts import Foresight
from datamodules.relabeling.base import ProbabilisticRelabeler
from datamodules.relabeling.distribution import Choice, choose_task, entropy, log_mean_exp
from datamodules.replay import TaskReplay, Trajectories
from envs.errors import require_choice, require_positive


class HIPIRelabeler(ProbabilisticRelabeler):
    """Samples the task ψ of every transition (s, a) from P(ψ | s, a) ∝ exp(min Q(s, a, z_ψ) − log Z_ψ).

    A baseline of the HFR paper: it asks for which task the action is good, not which task the trajectory
    helps to adapt to. z_ψ comes from un-relabeled data of ψ; log Z_ψ is the log-mean of
    exp min Q over the trajectory.

    Args:
        probability: share of the trajectories whose transitions are relabeled.
        context: un-relabeled transitions a task that z is inferred from.
        choice: a sample of the distribution, or its most probable task.
    """

    needs_foresight: ClassVar[bool] = True

    def __init__(self, probability: float = 0.5, context: int = 100, choice: Choice = "softmax") -> None:
        super().__init__(probability)
        require_choice("choice", choice, Choice, of=self)
        require_positive("context", context, of=self)
        self.context = context
        self.choice = choice

    @torch.no_grad()
    def choose(self, trajectories: Trajectories, replay: TaskReplay, foresight: Foresight | None) -> Tensor:
        """The slot of the task that every transition is kept for, `[trajectories, time]`."""
        assert foresight is not None  # checked when the run was configured
        candidates = replay.slots_with(replay.recent)
        chosen = trajectories.slots[:, None].repeat(1, int(trajectories.lengths.max()))
        values, partitions, entropies = [], [], []
        for row, steps in zip(chosen, replay.trajectory_steps(trajectories).unbind(0)):
            transitions = steps[steps["valid"]]
            contexts = replay.sample_context(candidates, self.context, self.generator)
            value = foresight.action_values(contexts, transitions, self.generator)
            log_z = log_mean_exp(value, 1)
            logits = (value - log_z[:, None]).T
            row[: len(transitions)] = candidates[choose_task(logits, self.choice, self.generator)]
            values.append(value.mean())
            partitions.append(log_z.mean())
            entropies.append(entropy(logits).mean())
        self._metrics |= {
            "relabel/utility": float(torch.stack(values).mean()),
            "relabel/log_partition": float(torch.stack(partitions).mean()),
            "relabel/entropy": float(torch.stack(entropies).mean()),
        }
        return chosen
