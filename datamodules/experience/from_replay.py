"""Off-policy: meta-batches are sampled from everything collected, relabeled as it is stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection import Trials
from datamodules.contracts import Agent, Foresight
from datamodules.experience.base import Experience
from datamodules.plans import CollectionPlan, MetaBatchPlan
from datamodules.relabeling import Relabeler
from datamodules.replay import RewardModel, Ring, TaskReplay
from datamodules.tasks import SampledTasks
from envs.base import MetaEnv

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ReplayExperience(Experience):
    """Trials go through the relabeler into a replay with a slot a task; meta-batches are sampled from it.

    Args:
        env: the environment.
        tasks: those that the slots start with.
        first_slots: those that data are collected for before training, `[n]`.
        collection: how much is collected.
        batches: what a gradient step is computed from.
        capacity: transitions kept in all.
        relabeler: decides for which task each trajectory is kept.
        reward_model: learned rewards for hindsight; None for the environment's own reward function.
        generator: source of slots and meta-batches.
        folder: where the transitions' files are; None to keep them in memory.
    """

    def __init__(
        self,
        env: MetaEnv,
        tasks: SampledTasks,
        first_slots: Tensor,
        collection: CollectionPlan,
        batches: MetaBatchPlan,
        capacity: int,
        relabeler: Relabeler,
        reward_model: RewardModel | None,
        generator: torch.Generator,
        folder: Path | None = None,
    ) -> None:
        self.batches_per_iteration = batches.meta_steps
        self.relabeler = relabeler
        self.reward_model = reward_model
        self.replay = TaskReplay(env, len(tasks), capacity, reward_model, folder)
        self.replay.hold(torch.arange(len(tasks)), tasks)
        self._first_slots = first_slots
        self._collection = collection
        self._batches = batches
        self._generator = generator

    def slots_to_fill(self) -> list[tuple[Tensor, Tensor]]:
        if self.replay.store.written > 0:
            return []
        return [(slots, self.replay.tasks[slots]) for slots in self._first_slots.split(self.replay.env.num_envs)]

    def fill(self, slots: Tensor, trials: Trials) -> None:
        """Keep `trials` for their own tasks."""
        trajectories = self.replay.add(trials, slots, torch.ones(1, dtype=torch.bool))
        self.replay.keep(trajectories, trajectories.slots)

    def add(self, sampled: SampledTasks, trials: Trials, agent: Agent) -> None:
        """Store the trials, and keep each trajectory for the task that the relabeler chooses."""
        self.replay.begin_iteration()
        slots = self.replay.assign_tasks(sampled, self._generator)
        plan = self._collection
        feeding = plan.exploration(agent.exploration_episodes) + plan.adapted_context_episodes
        trajectories = self.replay.add(trials, slots, torch.arange(trials.steps.batch_size[1]) < feeding)
        if self.reward_model is not None:
            self.reward_model.fit(self.replay.store)
        foresight = cast(Foresight, agent) if self.relabeler.needs_foresight else None
        self.replay.keep(trajectories, self.relabeler.relabel(trajectories, self.replay, foresight))

    def batch(self) -> TensorDict:
        """A meta-batch with rewards: `transitions` `[tasks, transitions]` and `context` `[tasks, context]`."""
        plan, generator = self._batches, self._generator
        usable = self.replay.slots_with(self.replay.critic, self.replay.context)
        rounds = -(-plan.tasks // len(usable))
        order = torch.cat([torch.randperm(len(usable), generator=generator) for _ in range(rounds)])
        slots = usable[order[: plan.tasks]]
        return TensorDict(
            {
                "transitions": self.replay.sample(self.replay.critic, slots, plan.transitions, generator),
                "context": self.replay.sample(self.replay.context, slots, plan.context, generator),
            },
            [len(slots)],
        )

    def metrics(self) -> dict[str, float]:
        learned = self.reward_model.metrics() if self.reward_model is not None else {}
        return {**self.relabeler.metrics(), **learned}

    def figures(self) -> dict[str, Figure]:
        return self.relabeler.figures(self.replay)

    def state_dict(self) -> dict[str, Any]:
        return {
            "generator": self._generator.get_state(),
            "relabeler": self.relabeler.state_dict(),
            "reward_model": None if self.reward_model is None else self.reward_model.state_dict(),
            "replay": self.replay.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._generator.set_state(state["generator"])
        self.relabeler.load_state_dict(state["relabeler"])
        if self.reward_model is not None:
            self.reward_model.load_state_dict(state["reward_model"])
        self.replay.load_state_dict(state["replay"])

    @property
    def rings(self) -> dict[str, Ring]:
        return {"transitions": self.replay.store}

    def tables(self) -> dict[str, Tensor]:
        return self.replay.references()

    def load_tables(self, tables: dict[str, Tensor]) -> None:
        self.replay.load_references(tables)
