"""Generalized hindsight: keep a trajectory for the task that it ranks highest for (Li, Pinto, Abbeel 2020)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from datamodules.contracts import Foresight
from datamodules.relabeling.base import ProbabilisticRelabeler
from datamodules.replay import TaskReplay, Trajectories
from envs.errors import require_positive


class GeneralizedHindsightRelabeler(ProbabilisticRelabeler):
    """Keeps a trajectory for the task under which its return ranks highest among recent trajectories.

    Approximate inverse-RL relabeling (NeurIPS 2020, arXiv 2002.11708, algorithm 2). The percentile of a trajectory τ
    for a task ψ is the share of the reference trajectories whose return under ψ is lower than that of τ, equal ones
    counted half; ranks, unlike returns, can be compared between tasks. Tasks that tie for the highest percentile are
    equally likely, so that a trajectory that is no use for any task is kept for a random one.

    Args:
        probability: share of the trajectories that is relabeled.
        references: latest trajectories, collected for any task, that a trajectory is compared with. The paper compares
            with those of its batch.
    """

    def __init__(self, probability: float = 0.5, references: int = 200) -> None:
        super().__init__(probability)
        require_positive("references", references, of=self)
        self.references = references
        self._starts = torch.empty(0, dtype=torch.long)
        self._lengths = torch.empty(0, dtype=torch.long)

    def relabel(self, trajectories: Trajectories, replay: TaskReplay, foresight: Foresight | None) -> Tensor:
        self._remember(trajectories, replay)
        return super().relabel(trajectories, replay, foresight)

    def choose(self, trajectories: Trajectories, replay: TaskReplay, foresight: Foresight | None) -> Tensor:
        candidates = replay.slots_with(replay.recent)
        compared = Trajectories(
            slots=torch.zeros_like(self._starts),
            starts=self._starts,
            lengths=self._lengths,
            feeds_context=torch.zeros_like(self._starts, dtype=torch.bool),
        )
        percentiles = percentile(returns(trajectories, candidates, replay), returns(compared, candidates, replay))
        highest = percentiles.amax(1, keepdim=True)
        self._metrics["relabel/percentile"] = float(highest.mean())
        ties = (percentiles == highest).float()
        return candidates[torch.multinomial(ties, 1, generator=self.generator)[:, 0]]

    def _remember(self, trajectories: Trajectories, replay: TaskReplay) -> None:
        """Add `trajectories` to the references, and drop the oldest and those that the store has overwritten."""
        starts, lengths = (
            torch.cat((self._starts, trajectories.starts)),
            torch.cat((self._lengths, trajectories.lengths)),
        )
        stored = starts >= replay.store.oldest
        self._starts, self._lengths = starts[stored][-self.references :], lengths[stored][-self.references :]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "starts": self._starts.clone(), "lengths": self._lengths.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._starts, self._lengths = state["starts"].clone(), state["lengths"].clone()


def returns(trajectories: Trajectories, slots: Tensor, replay: TaskReplay) -> Tensor:
    """Sums of the critics' rewards of `trajectories` under the tasks of `slots`, up to where they would terminate.

    Returns:
        `[trajectories, slots]`.
    """
    rows = []
    for trajectory in replay.trajectory_steps(trajectories).unbind(0):  # under every task, one is a large batch
        steps = replay.compute_rewards(trajectory[None], slots[:, None])
        terminated_before = steps["terminated"].long().cumsum(-1) - steps["terminated"].long() > 0
        counted = steps["valid"] & ~terminated_before
        rows.append(steps["reward"].where(counted, 0.0).sum(-1))
    return torch.stack(rows)


def percentile(values: Tensor, references: Tensor) -> Tensor:
    """The mid-rank, in [0, 1], of `values` `[n, tasks]` among `references` `[m, tasks]` of the same task."""
    below = (references < values[:, None]).float().mean(1)
    equal = (references == values[:, None]).float().mean(1)
    return below + 0.5 * equal
