"""The DataModule that owns everything that produces data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import pytorch_lightning as pl
import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.batches import TrialBatch
from datamodules.collection import Collector, Trials
from datamodules.contracts import Agent, Foresight, LearnsFrom
from datamodules.plans import (
    BeliefPlan,
    CollectionPlan,
    EvaluationPlan,
    MetaBatchPlan,
    check_plans,
    check_replay_plan,
)
from datamodules.relabeling import Relabeler
from datamodules.replay import TaskReplay, TrialBuffer
from datamodules.tasks import TaskSampler
from envs.base import MetaEnv, TaskChanges, WorldSpec
from envs.errors import ConfigurationError, require
from envs.randomness import derive_seed, make_generator


class CollectionProgress(Protocol):
    """Who wants to watch collection."""

    def begin(self, description: str, total_steps: int) -> None:
        """Collection starts; `total_steps` environment steps at most."""
        ...

    def advance(self, steps: int) -> None:
        """That many more environment steps were made."""
        ...

    def end(self) -> None:
        """Collection is over."""
        ...


class RolloutDataModule(pl.LightningDataModule):
    """Draws tasks, runs trials on them, and yields what the algorithm learns from.

    A meta-iteration collects trials; then the loader yields `batches.meta_steps` meta-batches from
    replay, or, for an algorithm that learns from trials, one `TrialBatch`. An epoch is
    `collection.iterations` of them. Validation and test loaders yield finished trials on held-out
    tasks, run by the same collector.

    Args:
        env: the world; called with a number of copies and a seed.
        task_sampler: decides which tasks are trained on.
        relabeler: decides for which task each trajectory is kept.
        task_slots: training tasks whose data are held at a time.
        collection: how much is collected.
        batches: what a gradient step is computed from, for an algorithm that learns from replay.
        belief: what the belief model learns from, for one that learns from trials and remembers them.
        evaluation: how validation and test are done.
        replay_capacity: transitions kept in all.
        seed: seed of the run's random streams.
    """

    def __init__(
        self,
        env: Callable[[int, int], MetaEnv],
        task_sampler: TaskSampler,
        relabeler: Relabeler,
        task_slots: int = 100,
        collection: CollectionPlan = CollectionPlan(),
        batches: MetaBatchPlan = MetaBatchPlan(),
        belief: BeliefPlan = BeliefPlan(),
        evaluation: EvaluationPlan = EvaluationPlan(),
        replay_capacity: int = 1_000_000,
        seed: int = 1,
    ) -> None:
        super().__init__()
        check_plans(task_slots, collection, batches, belief, evaluation)
        self.make_env = env
        self.task_sampler = task_sampler
        self.relabeler = relabeler
        self.task_slots = task_slots
        self.collection = collection
        self.batches = batches
        self.belief = belief
        self.evaluation = evaluation
        self.replay_capacity = replay_capacity
        self.seed = seed
        self.env = env(collection.tasks_per_iteration, seed)
        self.world: WorldSpec = self.env.world
        if relabeler.changes_tasks:
            self._check_relabeling()
        self.task_sampler.bind(self.world, self.env.task_distribution, seed, rank=0)
        self.initial_tasks = self.task_sampler.initial(task_slots)
        self.environment_steps = 0
        self._returns: list[Tensor] = []
        self.progress: CollectionProgress | None = None
        self._ready = False

    def _check_relabeling(self) -> None:
        name = type(self.relabeler).__name__
        require(
            self.world.task_changes is TaskChanges.REWARD,
            "data.relabeler",
            name,
            f"relabeling needs tasks that differ in the reward alone, but those of {self.world.name} "
            f"change the {self.world.task_changes.value}",
            "Use datamodules.relabeling.NoRelabeler (configs/relabel/none.yaml) with this world.",
        )
        require(
            self.task_slots > 1,
            "data.task_slots",
            self.task_slots,
            f"{name} needs at least two training tasks to choose between",
            "Raise data.task_slots, or use configs/relabel/none.yaml.",
        )

    def check_agent(self, agent: Agent) -> None:
        """Refuse an algorithm that lacks what this configuration asks of it, or cannot use what it offers.

        Raises:
            ConfigurationError: naming the key.
        """
        if agent.learns_from is LearnsFrom.REPLAY:
            self._check_replay()
        else:
            require(
                not self.relabeler.changes_tasks,
                "data.relabeler",
                type(self.relabeler).__name__,
                f"{type(agent).__name__} learns from the trials just collected, and a relabeled one is not its own",
                "Use datamodules.relabeling.NoRelabeler (configs/relabel/none.yaml), or an algorithm with replay.",
            )
        if self.relabeler.needs_foresight and not isinstance(agent, Foresight):
            raise ConfigurationError(
                "data.relabeler",
                type(self.relabeler).__name__,
                f"it asks the algorithm for a foresight, and {type(agent).__name__} has none",
                "Use an algorithm with an adaptation_utility (PEARL), or configs/relabel/none.yaml or random.yaml.",
            )

    def _check_replay(self) -> None:
        check_replay_plan(self.task_slots, self.collection, self.batches)
        initial_steps = self.task_slots * self.collection.initial_episodes * self.world.horizon
        require(
            initial_steps <= self.replay_capacity,
            "data.replay_capacity",
            self.replay_capacity,
            f"it must hold the {initial_steps} transitions of the initial data",
            "Raise it, or lower data.task_slots or data.collection.initial_episodes.",
        )

    @property
    def agent(self) -> Agent:
        """The algorithm that is being run."""
        assert self.trainer is not None
        return cast(Agent, self.trainer.lightning_module)

    @property
    def _device(self) -> torch.device:
        assert self.trainer is not None
        device: torch.device = self.trainer.lightning_module.device
        return device

    def setup(self, stage: str) -> None:
        """Create what training needs, once."""
        if stage != "fit" or self._ready:
            return
        self.check_agent(self.agent)
        rank = self.trainer.global_rank if self.trainer is not None else 0
        self.relabeler.bind(self.seed, rank)
        self._rollout_generator = make_generator(self.seed, rank, "rollout")
        self._batch_generator = make_generator(self.seed, rank, "meta-batches")
        self.collector = Collector(self.env)
        if self.agent.learns_from is LearnsFrom.REPLAY:
            self.replay = TaskReplay(self.env, self.task_slots, self.replay_capacity)
            self.replay.tasks.copy_(self.initial_tasks)
        elif self.agent.remembers_trials:
            self.trial_buffer = TrialBuffer(self.belief.capacity)
        self._ready = True

    def train_dataloader(self) -> _MetaIterations:
        """What the algorithm learns from; iterating it runs the meta-iterations of one epoch."""
        return _MetaIterations(self)

    @property
    def batches_per_iteration(self) -> int:
        """Batches that one meta-iteration yields."""
        return self.batches.meta_steps if self.agent.learns_from is LearnsFrom.REPLAY else 1

    def begin_epoch(self) -> None:
        """From here on, averages are taken anew."""
        self._returns = []

    def run_iteration(self) -> Iterator[TensorDict | TrialBatch]:
        """One meta-iteration: collect, then yield what there is to learn from."""
        if self.agent.learns_from is LearnsFrom.TRIALS:
            yield self.collect_trials()
            return
        if self.replay.store.written == 0:
            self.collect_initial_data()
        self.collect_iteration()
        for _ in range(self.batches.meta_steps):
            yield self.draw_meta_batch()

    def val_dataloader(self) -> _EvaluationTrials:
        """Finished trials on the validation tasks."""
        return _EvaluationTrials(self, "validation", self.evaluation.validation_tasks)

    def test_dataloader(self) -> _EvaluationTrials:
        """Finished trials on the test tasks."""
        return _EvaluationTrials(self, "test", self.evaluation.test_tasks)

    def predict_dataloader(self) -> _EvaluationTrials:
        """Finished trials on the test tasks."""
        return self.test_dataloader()

    def collect_initial_data(self) -> None:
        """Fill every task slot with single-episode trials, kept for their own task."""
        episodes, horizon = self.collection.initial_episodes, self.world.horizon
        self.replay.begin_iteration()
        self._begin("initial data", self.task_slots * episodes * horizon)
        for slots in torch.arange(self.task_slots).split(self.env.num_envs):
            for _ in range(episodes):
                trials = self._run_trials(self.replay.tasks[slots], 1)
                trajectories = self.replay.add(trials, slots, torch.ones(1, dtype=torch.bool))
                self.replay.keep(trajectories, trajectories.slots)
        self._end()

    def collect_trials(self) -> TrialBatch:
        """Draw tasks, run a trial on each, and score them."""
        plan = self.collection
        episodes = self._begin_trials()
        trials = self._run_trials(self.task_sampler.sample(plan.tasks_per_iteration), episodes)
        self.task_sampler.update(trials.tasks, trials.returns)
        self._end()
        self._returns.append(trials.episode_returns.mean(0))
        if not self.agent.remembers_trials:
            return TrialBatch(trials)
        self.trial_buffer.add(trials)
        draws = (self.trial_buffer.draw(self.belief.trials, self._batch_generator) for _ in range(self.belief.updates))
        return TrialBatch(trials, tuple(draws))

    def collect_iteration(self) -> None:
        """Draw tasks, run a trial on each, score them, and relabel."""
        plan = self.collection
        self.replay.begin_iteration()
        episodes = self._begin_trials()
        tasks = self.task_sampler.sample(plan.tasks_per_iteration)
        slots = self.replay.assign_tasks(tasks, self._batch_generator)
        trials = self._run_trials(tasks, episodes)
        self.task_sampler.update(tasks, trials.returns)
        feeds_context = (torch.arange(episodes) < self.agent.exploration_episodes) | plan.adapted_feed_context
        trajectories = self.replay.add(trials, slots, feeds_context)
        foresight = cast(Foresight, self.agent) if self.relabeler.needs_foresight else None
        self.replay.keep(trajectories, self.relabeler.relabel(trajectories, self.replay, foresight))
        self._end()
        self._returns.append(trials.episode_returns.mean(0))

    def _begin_trials(self) -> int:
        """Announce the trials of a meta-iteration; the number of episodes of each."""
        plan = self.collection
        episodes = self.agent.exploration_episodes + plan.adapted_episodes
        self._begin("trials", plan.tasks_per_iteration * episodes * self.world.horizon)
        return episodes

    def metrics(self) -> dict[str, float]:
        """What there is to log of an epoch that has collected: returns, averaged over it, and what its parts tell."""
        average = torch.stack(self._returns).mean(0)
        exploration = self.agent.exploration_episodes
        return {
            "collect/return": float(average[-1]),
            **({"collect/return_exploration": float(average[:exploration].mean())} if exploration else {}),
            "collect/diverged_episodes": float(self.env.diverged),
            **self.task_sampler.metrics(),
            **self.relabeler.metrics(),
        }

    def draw_meta_batch(self) -> TensorDict:
        """A meta-batch: `transitions` `[tasks, transitions]` and `context` `[tasks, context]`, both priced."""
        plan, generator = self.batches, self._batch_generator
        usable = self.replay.slots_with(self.replay.critic, self.replay.context)
        slots = usable[torch.randperm(len(usable), generator=generator)[: plan.tasks]]
        return TensorDict(
            {
                "transitions": self.replay.draw(self.replay.critic, slots, plan.transitions, generator),
                "context": self.replay.draw(self.replay.context, slots, plan.context, generator),
            },
            [len(slots)],
        )

    def _run_trials(self, tasks: Tensor, episodes: int) -> Trials:
        report = self.progress.advance if self.progress is not None else None
        trials = self.collector.collect(
            self.agent, tasks, episodes, self._rollout_generator, device=self._device, report=report
        )
        self.environment_steps += trials.environment_steps
        return trials

    def _begin(self, description: str, total_steps: int) -> None:
        if self.progress is not None:
            self.progress.begin(description, total_steps)

    def _end(self) -> None:
        if self.progress is not None:
            self.progress.end()

    def state_dict(self) -> dict[str, Any]:
        """Everything but replay and remembered trials, as tensors and primitives."""
        if not self._ready:
            return {}
        state = {
            "environment_steps": self.environment_steps,
            "task_sampler": self.task_sampler.state_dict(),
            "relabeler": self.relabeler.state_dict(),
            "rollout_generator": self._rollout_generator.get_state(),
            "batch_generator": self._batch_generator.get_state(),
            "env": self.env.state_dict(),
        }
        if self.agent.learns_from is LearnsFrom.REPLAY:
            state["tasks"] = self.replay.tasks
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave; outside training only the step counter matters."""
        if not state_dict:
            return
        self.environment_steps = state_dict["environment_steps"]
        if not self._ready:
            return
        self.task_sampler.load_state_dict(state_dict["task_sampler"])
        self.relabeler.load_state_dict(state_dict["relabeler"])
        self._rollout_generator.set_state(state_dict["rollout_generator"])
        self._batch_generator.set_state(state_dict["batch_generator"])
        self.env.load_state_dict(state_dict["env"])
        if self.agent.learns_from is LearnsFrom.REPLAY:
            self.replay.tasks.copy_(state_dict["tasks"])


class _MetaIterations:
    """The meta-iterations of an epoch. Its length keeps Lightning from fetching a batch ahead, which would
    let rollouts lag the policy."""

    def __init__(self, data: RolloutDataModule) -> None:
        self._data = data

    def __len__(self) -> int:
        return self._data.collection.iterations * self._data.batches_per_iteration

    def __iter__(self) -> Iterator[TensorDict | TrialBatch]:
        self._data.begin_epoch()
        for _ in range(self._data.collection.iterations):
            yield from self._data.run_iteration()


class _EvaluationTrials:
    """Deterministic trials on held-out tasks, in groups whose randomness depends on nothing but the group."""

    def __init__(self, data: RolloutDataModule, purpose: str, number: int) -> None:
        self._data = data
        self._purpose = purpose
        plan = data.evaluation
        generator = make_generator(plan.seed, 0, f"{purpose} tasks")
        self._groups = data.env.task_distribution.sample(number, generator).split(plan.copies)

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[Trials]:
        plan, agent = self._data.evaluation, self._data.agent
        env = self._data.make_env(len(self._groups[0]), plan.seed)
        collector = Collector(env)
        for index, tasks in enumerate(self._groups):
            purpose = f"{self._purpose} trials {index}"
            env.reset(seed=derive_seed(plan.seed, 0, purpose))
            yield collector.collect(
                agent,
                tasks,
                agent.exploration_episodes + plan.adapted_episodes,
                make_generator(plan.seed, 0, f"{purpose} agent"),
                deterministic=True,
                device=self._data._device,
            )
