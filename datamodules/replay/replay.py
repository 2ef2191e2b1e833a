"""Contract 5: what has been experienced, by training task; rewards are computed for the task a batch is sampled for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection import Trials
from datamodules.contracts import StartStates
from datamodules.replay.references import ReferenceTable
from datamodules.replay.rewards import KnownReward, RewardSource
from datamodules.replay.store import TransitionStore
from datamodules.tasks import SampledTasks
from envs.base import MetaEnv
from envs.errors import NonFiniteError
from envs.meta_env_spec import TaskChanges

STORED = ("observation", "action", "next_observation")


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

    Four lists of references a slot: `critic` (all its data), `beginnings` (the transitions among
    them that begin an episode), `context` (recent data for the belief, emptied at its first write of
    an iteration) and `recent` (its latest collected data, never relabeled).

    Args:
        env: the environment.
        slots: number of training tasks held at a time.
        capacity: transitions kept in all.
        rewards: where rewards come from; None for the environment's reward function.
        folder: where the transitions' files are; None to keep them in memory.

    Attributes:
        tasks: the task of each slot, `[slots, task_dim]`.
        task_ids: its id, `[slots]`; -1 in a slot that holds none.
    """

    def __init__(
        self,
        env: MetaEnv,
        slots: int,
        capacity: int,
        rewards: RewardSource | None = None,
        folder: Path | None = None,
    ) -> None:
        self.env = env
        self.rewards = rewards if rewards is not None else KnownReward(env)
        self.tasks = torch.zeros(slots, env.meta_spec.task_dim, dtype=torch.float32)
        self.task_ids = torch.full((slots,), -1)
        self.store = TransitionStore(capacity, folder)
        self.critic = ReferenceTable(slots)
        self.beginnings = ReferenceTable(slots)
        self.context = ReferenceTable(slots)
        self.recent = ReferenceTable(slots)
        self._tables = {
            "critic": self.critic,
            "beginnings": self.beginnings,
            "context": self.context,
            "recent": self.recent,
        }
        self._context_is_fresh = torch.zeros(slots, dtype=torch.bool)

    @property
    def slots(self) -> int:
        """Number of task slots."""
        return len(self.tasks)

    def slots_with(self, *tables: ReferenceTable) -> Tensor:
        """The slots that have data in every one of `tables`, `[n]`.

        A slot becomes empty when the ring overwrites all it refers to before anything new is kept for it.
        """
        return torch.stack([table.counts > 0 for table in tables]).all(0).nonzero()[:, 0]

    def begin_iteration(self) -> None:
        """From here on, the first write to a slot's context empties it."""
        self._context_is_fresh.zero_()

    def hold(self, slots: Tensor, sampled: SampledTasks) -> None:
        """Let `slots` `[n]` hold the tasks that were sampled."""
        self.tasks[slots], self.task_ids[slots] = sampled.tasks, sampled.ids

    def assign_tasks(self, sampled: SampledTasks, generator: torch.Generator) -> Tensor:
        """The slots `[n]` that hold the sampled tasks; a task that no slot holds takes over a random one.

        Where tasks change the reward only, a slot keeps its transitions: their rewards are computed for the
        new task when a batch is sampled. Where tasks change the dynamics they are wrong for it, and dropped.
        """
        matches = sampled.ids[:, None] == self.task_ids
        slots = torch.where(matches.any(1), matches.int().argmax(1), -1)
        free = torch.ones(self.slots, dtype=torch.bool)
        free[slots[slots >= 0]] = False
        candidates = free.nonzero()[:, 0]
        candidates = candidates[torch.randperm(len(candidates), generator=generator)]
        new = (slots < 0).nonzero()[:, 0]
        ids = sampled.ids[new].tolist()
        place = dict(zip(dict.fromkeys(ids), candidates.tolist()))  # one for all trials on a task
        slots[new] = torch.tensor([place[task_id] for task_id in ids], dtype=slots.dtype)
        self.hold(slots[new], sampled[new])
        if self.env.meta_spec.task_changes is not TaskChanges.REWARD:
            for table in self._tables.values():
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
        of_task = {"task": trials.tasks, "task_id": self.task_ids[slots]}
        steps = trials.steps.select(*STORED, *(key for key in self.rewards.remembers if key not in of_task))
        for key in of_task.keys() & set(self.rewards.remembers):
            values = of_task[key]
            steps = steps.set(key, values[:, None, None].expand(*valid.shape, *values.shape[1:]))
        first = self.store.append(steps[valid])
        starts = first + lengths.cumsum(0) - lengths
        episodes = valid.shape[1]
        trajectories = Trajectories(
            slots=slots.repeat_interleave(episodes),
            starts=starts,
            lengths=lengths,
            feeds_context=feeds_context.repeat(len(slots)),
        )
        for table in self._tables.values():
            table.discard_before(self.store.oldest)
        self.recent.clear(slots)
        self.recent.append(trajectories.slots, starts, lengths)
        return trajectories

    def keep(self, trajectories: Trajectories, slots: Tensor) -> None:
        """Keep each trajectory, or each of its transitions, for a task that need not be its own.

        Args:
            trajectories: what `add` gave.
            slots: the slot of the task that each trajectory is kept for, `[trajectories]`, or each
                transition, `[trajectories, time]`. Consecutive transitions of one slot are one reference.
        """
        if slots.dim() == 1:
            starts, lengths, feeding = trajectories.starts, trajectories.lengths, trajectories.feeds_context
            first = torch.ones_like(feeding)
        else:
            pieces, offsets, lengths = _runs(slots, trajectories.lengths)
            slots = slots[pieces, offsets]
            starts, feeding, first = (
                trajectories.starts[pieces] + offsets,
                trajectories.feeds_context[pieces],
                offsets == 0,
            )
        self.critic.append(slots, starts, lengths)
        self.beginnings.append(slots[first], starts[first], torch.ones_like(starts[first]))
        receiving = slots[feeding].unique()
        self.context.clear(receiving[~self._context_is_fresh[receiving]])
        self._context_is_fresh[receiving] = True
        self.context.append(slots[feeding], starts[feeding], lengths[feeding])

    def compute_rewards(self, transitions: TensorDict, slots: Tensor) -> TensorDict:
        """`transitions` with `reward`, `sparse_reward` and `terminated` under the tasks of `slots`.

        Args:
            transitions: batch shape that broadcasts with the shape of `slots`.
            slots: `[...]`.

        Returns:
            Batch shape: the two broadcast together.

        Raises:
            NonFiniteError: if a reward is not finite, naming environment, task and transition.
        """
        tasks = self.tasks[slots]
        reward = self.rewards.compute_rewards(transitions, tasks, self.task_ids[slots])
        finite = torch.isfinite(reward.reward) & torch.isfinite(reward.sparse_reward)
        if not bool(finite.all()):
            self._refuse_reward(transitions, tasks, ~finite)
        return (
            transitions.expand(reward.reward.shape)
            .copy()
            .update({"reward": reward.reward, "sparse_reward": reward.sparse_reward, "terminated": reward.terminated})
        )

    def sample(self, table: ReferenceTable, slots: Tensor, n: int, generator: torch.Generator) -> TensorDict:
        """`n` transitions of each of `slots` `[k]` from `table`, with rewards for the slots' tasks, `[k, n]`."""
        return self.compute_rewards(self.store.get(table.sample(slots, n, generator)), slots[:, None])

    def sample_context(self, slots: Tensor, n: int, generator: torch.Generator) -> TensorDict:
        """`n` un-relabeled transitions of each of `slots` `[k]` from its latest trial, with rewards, `[k, n]`."""
        context = self.sample(self.recent, slots, n, generator)
        return context.set("valid", torch.ones(context.batch_size, dtype=torch.bool))

    def _refuse_reward(self, transitions: TensorDict, tasks: Tensor, refused: Tensor) -> NoReturn:
        meta_spec = self.env.meta_spec
        where = tuple(refused.nonzero()[0].tolist())
        transition = transitions.expand(refused.shape)[where]
        task = dict(zip(meta_spec.task_names, tasks.expand(*refused.shape, -1)[where].tolist()))
        if "features" in transition:
            seen = f"the features {dict(zip(meta_spec.feature_names, transition['features'].tolist()))}"
        else:
            seen = f"the observation {transition['observation'].tolist()}"
        raise NonFiniteError(
            f"the reward of {meta_spec.name} for {seen} under the task {task} is not finite: correct the environment's "
            "reward function, or the features that its simulation gives."
        )

    def start_states(self, slots: Tensor, n: int, generator: torch.Generator) -> StartStates:
        """`n` initial observations of each of `slots` `[k]`."""
        numbers, draws = self.beginnings.sample_references(slots, n, generator)
        return StartStates(self.store.get(numbers)["observation"], draws)

    def trajectory_steps(self, trajectories: Trajectories) -> TensorDict:
        """The transitions of `trajectories`, `[trajectories, time]`, with `valid` marking those that exist."""
        time = torch.arange(int(trajectories.lengths.max()))
        valid = time < trajectories.lengths[:, None]
        numbers = trajectories.starts[:, None] + time.minimum(trajectories.lengths[:, None] - 1)
        return self.store.get(numbers).set("valid", valid)

    def state_dict(self) -> dict[str, Tensor]:
        """The slots: their tasks, and whether their context is of this iteration."""
        return {
            "tasks": self.tasks.clone(),
            "task_ids": self.task_ids.clone(),
            "context_is_fresh": self._context_is_fresh.clone(),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""
        self.tasks.copy_(state["tasks"])
        self.task_ids.copy_(state["task_ids"])
        self._context_is_fresh.copy_(state["context_is_fresh"])

    def references(self) -> dict[str, Tensor]:
        """All lists of references, as `LIST/TENSOR`."""
        return {
            f"{name}/{key}": tensor
            for name, table in self._tables.items()
            for key, tensor in table.state_dict().items()
        }

    def load_references(self, references: dict[str, Tensor]) -> None:
        """Restore what `references` gave."""
        for name, table in self._tables.items():
            prefix = f"{name}/"
            table.load_state_dict(
                {key.removeprefix(prefix): tensor for key, tensor in references.items() if key.startswith(prefix)}
            )


def _runs(slots: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Runs of equal `slots` `[trajectories, time]` within each trajectory's first `lengths` steps.

    Returns:
        Of every run: its trajectory, the step it begins at and its length.
    """
    time = torch.arange(slots.shape[1])
    valid = time < lengths[:, None]
    changes = slots != torch.nn.functional.pad(slots[:, :-1], (1, 0), value=-1)
    trajectory, step = (valid & changes).nonzero(as_tuple=True)
    last = torch.cat((trajectory[1:] != trajectory[:-1], torch.ones(1, dtype=torch.bool)))
    end = torch.where(last, lengths[trajectory], step.roll(-1))
    return trajectory, step, end - step
