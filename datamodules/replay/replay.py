"""Contract 5: what has been experienced, by training task, priced for whichever task it is drawn for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection import Trials
from datamodules.replay.references import ReferenceTable
from datamodules.replay.store import TransitionStore
from envs.base import MetaEnv, TaskChanges

STORED = ("observation", "action", "next_observation", "features")


@dataclass(frozen=True, slots=True)
class Trajectories:
    """Stored episodes; every tensor `[trajectories]`.

    Attributes:
        slots: the task slot that each was collected for.
        starts: number of the first transition in the store.
        lengths: number of transitions.
        feeds_context: whether the episode may serve as context for the belief, not only for the critics.
    """

    slots: Tensor
    starts: Tensor
    lengths: Tensor
    feeds_context: Tensor

    def select(self, chosen: Tensor) -> Trajectories:
        """Those of the trajectories where `chosen` `[trajectories]` is True."""
        return Trajectories(self.slots[chosen], self.starts[chosen], self.lengths[chosen], self.feeds_context[chosen])


class TaskReplay:
    """Stored transitions, the training tasks (one a slot), and which transitions each task may use.

    Three lists of references a slot: `critic` (all its data), `context` (recent data for the
    belief, emptied at its first write of an iteration) and `recent` (its latest collected data,
    never relabeled).

    Args:
        env: the world, for its reward function.
        slots: number of training tasks held at a time.
        capacity: transitions kept in all.
    """

    def __init__(self, env: MetaEnv, slots: int, capacity: int) -> None:
        self.env = env
        self.tasks = torch.zeros(slots, env.world.task_dim)
        self.store = TransitionStore(capacity)
        self.critic = ReferenceTable(slots)
        self.context = ReferenceTable(slots)
        self.recent = ReferenceTable(slots)
        self._context_is_fresh = torch.zeros(slots, dtype=torch.bool)

    @property
    def slots(self) -> int:
        """Number of task slots."""
        return len(self.tasks)

    def slots_with(self, *tables: ReferenceTable) -> Tensor:
        """The slots that have data in every one of `tables`, `[n]`.

        A slot runs dry when the ring overwrites all it refers to before anything new is kept for it.
        """
        return torch.stack([table.counts > 0 for table in tables]).all(0).nonzero()[:, 0]

    def begin_iteration(self) -> None:
        """From here on, the first write to a slot's context empties it."""
        self._context_is_fresh.zero_()

    def assign_tasks(self, tasks: Tensor, generator: torch.Generator) -> Tensor:
        """The slots `[n]` that hold `tasks` `[n, task_dim]`; a task that no slot holds takes over a random one.

        Where tasks change the reward only, a slot keeps its transitions: they are priced for the
        new task when drawn. Where tasks change the dynamics they are wrong for it, and dropped.
        """
        matches = (tasks[:, None] == self.tasks).all(-1)
        slots = torch.where(matches.any(1), matches.int().argmax(1), -1)
        free = torch.ones(self.slots, dtype=torch.bool)
        free[slots[slots >= 0]] = False
        candidates = free.nonzero()[:, 0]
        candidates = candidates[torch.randperm(len(candidates), generator=generator)]
        new = (slots < 0).nonzero()[:, 0]
        slots[new] = candidates[: len(new)]
        self.tasks[slots[new]] = tasks[new]
        if self.env.world.task_changes is not TaskChanges.REWARD:
            for table in (self.critic, self.context, self.recent):
                table.clear(slots[new])
        return slots

    def add(self, trials: Trials, slots: Tensor, feeds_context: Tensor) -> Trajectories:
        """Store the episodes of `trials`, collected for `slots` `[tasks]`, without keeping them for any task yet.

        Args:
            trials: the trials.
            slots: the slot of each trial.
            feeds_context: by episode, `[episodes]`: whether it may serve as context.
        """
        valid = trials.steps["valid"]
        lengths = valid.sum(-1).flatten()
        first = self.store.append(trials.steps.select(*STORED)[valid])
        starts = first + lengths.cumsum(0) - lengths
        episodes = valid.shape[1]
        trajectories = Trajectories(
            slots=slots.repeat_interleave(episodes),
            starts=starts,
            lengths=lengths,
            feeds_context=feeds_context.repeat(len(slots)),
        )
        for table in (self.critic, self.context, self.recent):
            table.discard_before(self.store.oldest)
        self.recent.clear(slots)
        self.recent.append(trajectories.slots, starts, lengths)
        return trajectories

    def keep(self, trajectories: Trajectories, slots: Tensor) -> None:
        """Keep each trajectory for the task in `slots` `[trajectories]`, which need not be its own."""
        self.critic.append(slots, trajectories.starts, trajectories.lengths)
        feeding = trajectories.feeds_context
        receiving = slots[feeding].unique()
        self.context.clear(receiving[~self._context_is_fresh[receiving]])
        self._context_is_fresh[receiving] = True
        self.context.append(slots[feeding], trajectories.starts[feeding], trajectories.lengths[feeding])

    def price(self, transitions: TensorDict, tasks: Tensor) -> TensorDict:
        """`transitions` with `reward`, `sparse_reward` and `terminated` under `tasks`.

        Args:
            transitions: batch shape that broadcasts with that of `tasks`.
            tasks: `[..., task_dim]`.

        Returns:
            Batch shape: the two broadcast together.
        """
        reward = self.env.reward(transitions["features"], tasks)
        priced = transitions.expand(reward.reward.shape).copy()
        return priced.update(
            {"reward": reward.reward, "sparse_reward": reward.sparse_reward, "terminated": reward.terminated}
        )

    def draw(self, table: ReferenceTable, slots: Tensor, n: int, generator: torch.Generator) -> TensorDict:
        """`n` transitions of each of `slots` `[k]` from `table`, priced for the slots' tasks, `[k, n]`."""
        return self.price(self.store.get(table.draw(slots, n, generator)), self.tasks[slots][:, None])

    def start_observations(self, slots: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """`n` initial observations of each of `slots` `[k]`, `[k, n, observation_dim]`."""
        observations: Tensor = self.store.get(self.critic.draw_starts(slots, n, generator))["observation"]
        return observations

    def trajectory_steps(self, trajectories: Trajectories) -> TensorDict:
        """The transitions of `trajectories`, `[trajectories, time]`, with `valid` marking those that exist."""
        time = torch.arange(int(trajectories.lengths.max()))
        valid = time < trajectories.lengths[:, None]
        numbers = trajectories.starts[:, None] + time.minimum(trajectories.lengths[:, None] - 1)
        return self.store.get(numbers).set("valid", valid)
