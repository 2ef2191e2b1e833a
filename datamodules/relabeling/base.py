"""Contract 4: relabelers decide for which training task each trajectory is kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from datamodules.contracts import Foresight
from datamodules.replay import TaskReplay, Trajectories
from envs.errors import require
from envs.randomness import make_generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Relabeler(ABC):
    """Assigns stored trajectories to training tasks.

    Attributes:
        needs_foresight: whether the algorithm must provide a `Foresight`.
        changes_tasks: whether trajectories may be kept for another task than their own, which is
            only right where tasks differ in the reward alone.
    """

    needs_foresight: ClassVar[bool] = False
    changes_tasks: ClassVar[bool] = True
    generator: torch.Generator

    def bind(self, seed: int, rank: int) -> None:
        """Take a random stream.

        Raises:
            ConfigurationError: if it has one already.
        """
        hint = "Create a new one for every RolloutDataModule."
        require("generator" not in vars(self), "relabeler", type(self).__name__, "it has one already", hint)
        self.generator = make_generator(seed, rank, "relabeler")

    @abstractmethod
    def relabel(self, trajectories: Trajectories, replay: TaskReplay, foresight: Foresight | None) -> Tensor:
        """The slots of the tasks that the data are kept for.

        Returns:
            `[trajectories]`, or `[trajectories, time]` where every transition is relabeled by itself.
        """

    def metrics(self) -> dict[str, float]:
        """What to log of the last call of `relabel`."""
        return {}

    def figures(self, replay: TaskReplay) -> dict[str, Figure]:
        """Figures of what was relabeled among the tasks of `replay`, by name."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """All state, as tensors and primitives."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.generator.set_state(state["generator"])


class NoRelabeler(Relabeler):
    """Keeps every trajectory for its own task: the base algorithm, unchanged."""

    changes_tasks = False

    def relabel(self, trajectories: Trajectories, replay: TaskReplay, foresight: Foresight | None) -> Tensor:
        return trajectories.slots


class ProbabilisticRelabeler(Relabeler):
    """Relabels a share of the trajectories for other tasks and keeps the rest for their own.

    Each trajectory is relabeled independently with this probability. The published code of HFR decides once for a chunk
    of collected trajectories: all that are collected for a task with z from the prior, or one episode after that.

    Args:
        probability: share of the trajectories that is relabeled.

    Attributes:
        flow: transitions collected for the task of a slot `[row]` and kept for that of a slot `[column]`
            since both slots hold their tasks, `[slots, slots]`.
    """

    flow: Tensor

    def __init__(self, probability: float = 0.5) -> None:
        require(
            0.0 <= probability <= 1.0,
            "probability",
            probability,
            "a probability lies in [0, 1]",
            "HFR uses 0.5.",
            of=self,
        )
        self.probability = probability
        self.flow = torch.zeros(0, 0, dtype=torch.long)
        self._task_ids = torch.empty(0, dtype=torch.long)  # of the slots when `flow` was last added to
        self._metrics = {"relabel/rate": 0.0}

    def relabel(self, trajectories: Trajectories, replay: TaskReplay, foresight: Foresight | None) -> Tensor:
        relabeled = torch.rand(len(trajectories.slots), generator=self.generator) < self.probability
        assigned = trajectories.slots.clone()
        if bool(relabeled.any()):
            chosen = self.choose(trajectories.select(relabeled), replay, foresight)
            if chosen.dim() == 2:
                assigned = assigned[:, None].repeat(1, int(trajectories.lengths.max()))
                relabeled = relabeled[:, None] & (torch.arange(assigned.shape[1]) < chosen.shape[1])
            assigned[relabeled] = chosen.flatten()
        self._record(trajectories, assigned, replay.task_ids)
        return assigned

    @abstractmethod
    def choose(self, trajectories: Trajectories, replay: TaskReplay, foresight: Foresight | None) -> Tensor:
        """What these trajectories, at least one, are relabeled for: slots as `relabel` gives them."""

    def _record(self, trajectories: Trajectories, assigned: Tensor, task_ids: Tensor) -> None:
        slots = len(task_ids)
        if len(self._task_ids) == 0:
            self.flow, self._task_ids = torch.zeros(slots, slots, dtype=torch.long), task_ids.clone()
        changed = self._task_ids != task_ids
        self.flow[changed], self.flow[:, changed] = 0, 0
        self._task_ids.copy_(task_ids)
        time = torch.arange(int(trajectories.lengths.max()))
        kept_for = assigned if assigned.dim() == 2 else assigned[:, None].expand(-1, len(time))
        pairs = trajectories.slots[:, None] * slots + kept_for
        exists = time < trajectories.lengths[:, None]
        flow = torch.bincount(pairs[exists], minlength=slots * slots).view(slots, slots)
        self.flow += flow
        self._metrics["relabel/rate"] = 1.0 - float(flow.diagonal().sum() / flow.sum())

    def metrics(self) -> dict[str, float]:
        return dict(self._metrics)

    def figures(self, replay: TaskReplay) -> dict[str, Figure]:
        from datamodules.relabeling.flow_figure import plot_flow  # slow to import

        return {"relabel/collected_for_kept_for": plot_flow(self.flow, replay.tasks, replay.env.meta_spec.task_names)}

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "flow": self.flow.clone(),
            "task_ids": self._task_ids.clone(),
            "metrics": self.metrics(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.flow, self._task_ids = state["flow"].clone(), state["task_ids"].clone()
        self._metrics = dict(state["metrics"])


class RandomRelabeler(ProbabilisticRelabeler):
    """Relabels for a training task chosen uniformly at random, its own included (a baseline of the HFR paper).

    Args:
        probability: share of the trajectories that is relabeled; the published baseline relabels every one.
    """

    def __init__(self, probability: float = 1.0) -> None:
        super().__init__(probability)

    def choose(self, trajectories: Trajectories, replay: TaskReplay, foresight: Foresight | None) -> Tensor:
        return torch.randint(replay.slots, (len(trajectories.slots),), generator=self.generator)
