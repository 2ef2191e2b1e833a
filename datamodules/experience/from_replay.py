"""Off-policy: meta-batches drawn from all that was collected, relabeled on the way in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.contracts import Foresight
from datamodules.experience.base import Experience, TrialSource
from datamodules.plans import CollectionPlan, MetaBatchPlan
from datamodules.relabeling import Relabeler
from datamodules.replay import RewardModel, Ring, TaskReplay
from envs.base import MetaEnv


class ReplayExperience(Experience):
    """Trials go through the relabeler into a replay with a slot a task; meta-batches are drawn from it.

    Args:
        env: the world.
        tasks: those that the slots start with, `[slots, task_dim]`.
        first_slots: those that data are collected for before training, `[n]`.
        collection: how much is collected.
        batches: what a gradient step is computed from.
        capacity: transitions kept in all.
        relabeler: decides for which task each trajectory is kept.
        reward_model: learned rewards for hindsight; None for the world's own reward function.
        generator: source of slots and meta-batches.
    """

    def __init__(
        self,
        env: MetaEnv,
        tasks: Tensor,
        first_slots: Tensor,
        collection: CollectionPlan,
        batches: MetaBatchPlan,
        capacity: int,
        relabeler: Relabeler,
        reward_model: RewardModel | None,
        generator: torch.Generator,
    ) -> None:
        self.batches_per_iteration = batches.meta_steps
        self.relabeler = relabeler
        self.reward_model = reward_model
        self.replay = TaskReplay(env, len(tasks), capacity, reward_model)
        self.replay.tasks.copy_(tasks)
        self._first_slots = first_slots
        self._collection = collection
        self._batches = batches
        self._generator = generator

    def run_iteration(self, source: TrialSource, drawn: int = 0) -> Iterator[TensorDict]:
        """Collect, relabel, then yield meta-batches; the first meta-iteration fills slots before."""
        if drawn == 0:
            self._collect(source)
        for _ in range(drawn, self._batches.meta_steps):
            yield self._draw_meta_batch()

    def _collect(self, source: TrialSource) -> None:
        if self.replay.store.written == 0:
            self._collect_initial(source)
        self.replay.begin_iteration()
        trials = source.collect()
        slots = self.replay.assign_tasks(trials.tasks, self._generator)
        exploration = self._collection.exploration(source.agent.exploration_episodes)
        feeding = exploration + self._collection.adapted_context_episodes
        trajectories = self.replay.add(trials, slots, torch.arange(trials.steps.batch_size[1]) < feeding)
        if self.reward_model is not None:
            self.reward_model.fit(self.replay.store)
        foresight = cast(Foresight, source.agent) if self.relabeler.needs_foresight else None
        self.replay.keep(trajectories, self.relabeler.relabel(trajectories, self.replay, foresight))

    def _collect_initial(self, source: TrialSource) -> None:
        """Fill the first slots with single-episode trials, kept for their own task."""
        meta_spec, num_envs, episodes = (
            self.replay.env.meta_spec,
            self.replay.env.num_envs,
            self._collection.initial_episodes,
        )
        self.replay.begin_iteration()
        with source.watching("initial data", len(self._first_slots) * episodes * meta_spec.horizon):
            for slots in self._first_slots.split(num_envs):
                for _ in range(episodes):
                    trials = source.run_trials(self.replay.tasks[slots], 1)
                    trajectories = self.replay.add(trials, slots, torch.ones(1, dtype=torch.bool))
                    self.replay.keep(trajectories, trajectories.slots)

    def _draw_meta_batch(self) -> TensorDict:
        """A meta-batch: `transitions` `[tasks, transitions]` and `context` `[tasks, context]`, both priced."""
        plan, generator = self._batches, self._generator
        usable = self.replay.slots_with(self.replay.critic, self.replay.context)
        rounds = -(-plan.tasks // len(usable))
        order = torch.cat([torch.randperm(len(usable), generator=generator) for _ in range(rounds)])
        slots = usable[order[: plan.tasks]]
        return TensorDict(
            {
                "transitions": self.replay.draw(self.replay.critic, slots, plan.transitions, generator),
                "context": self.replay.draw(self.replay.context, slots, plan.context, generator),
            },
            [len(slots)],
        )

    def metrics(self) -> dict[str, float]:
        learned = self.reward_model.metrics() if self.reward_model is not None else {}
        return {**self.relabeler.metrics(), **learned}

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
