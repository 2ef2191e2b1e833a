"""The DataModule that owns everything that produces data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Literal, Protocol, cast  # noqa: UP035 - under Python 3.10, jsonargparse lists the classes of this Callable only

import pytorch_lightning as pl
import torch
from pytorch_lightning.loops.loop import _Loop
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from datamodules import ranks
from datamodules.checks import check_agent, check_components, check_ranks
from datamodules.collection import Collector, Trials
from datamodules.collection.collector import ProgressReport
from datamodules.contracts import Agent, LearnsFrom
from datamodules.evaluation import EvaluationTrials, Watching, unwatched
from datamodules.experience import Experience, ReplayExperience, TrialExperience
from datamodules.plans import (
    BeliefPlan,
    CollectionPlan,
    EvaluationPlan,
    MetaBatchPlan,
    check_plans,
)
from datamodules.relabeling import Relabeler
from datamodules.replay import RewardModel
from datamodules.tasks import SampledTasks, TaskSampler
from envs.base import EvaluationPurpose, MetaEnv
from envs.constructor_arguments import RemembersArguments
from envs.errors import ContractError, arguments_of, require, require_choice, require_instance
from envs.meta_env_spec import MetaEnvSpec
from envs.randomness import derive_seed, make_generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure


ReplayStorage = Literal["memory", "disk"]
SAVED_PREFIX = "data."  # of the arguments in a checkpoint


class CollectionProgress(Protocol):
    """Shows the progress of collection."""

    def begin(self, description: str, total_steps: int) -> None:
        """Collection starts; `total_steps` environment steps at most."""
        ...

    def advance(self, steps: int) -> None:
        """`steps` more environment steps were made."""
        ...

    def end(self) -> None:
        """Collection is over."""
        ...


class RolloutDataModule(RemembersArguments, pl.LightningDataModule):
    """Samples tasks, runs trials on them, and yields what the algorithm learns from.

    A meta-iteration collects trials; then the loader yields `batches.meta_steps` meta-batches from
    replay, or, for an algorithm that learns from trials, one `TrialBatch`. An epoch is
    `collection.iterations` of them. Validation and test loaders yield finished trials on held-out
    tasks, run by the same collector.

    Several ranks share the work: the task sampler samples the tasks of all ranks and is told all
    scores, so that its state is the same everywhere; each rank runs trials on its share of the tasks and
    keeps their data. Numbers in the configuration are totals over the ranks.

    Args:
        env: the environment; called with a number of sub-environments and a seed.
        task_sampler: decides which tasks are trained on.
        relabeler: decides for which task each trajectory is kept.
        task_slots: training tasks whose data are held at a time; an environment with fewer tasks has a slot for each.
        collection: how much is collected.
        batches: what a gradient step is computed from, for an algorithm that learns from replay.
        belief: what the belief model learns from, for one that learns from trials and remembers them.
        evaluation: how validation and test are done.
        replay_capacity: transitions kept, in all slots together.
        replay_storage: whether they are kept in memory or on disk, in files that vanish with the process.
        replay_folder: of these files; None for the run's own. A disk of the machine itself is fastest.
        reward_model: learned rewards for hindsight; None for the environment's own reward function.
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
        replay_storage: ReplayStorage = "memory",
        replay_folder: str | None = None,
        reward_model: RewardModel | None = None,
        seed: int = 1,
    ) -> None:
        super().__init__()
        device = torch.get_default_device()
        require(
            device.type == "cpu",
            "torch.set_default_device",
            str(device),
            "environments and replay are on the CPU",
            'Leave it at "cpu"; the Trainer takes the networks to its own device.',
        )
        hint = "Give a class, or functools.partial(PointRobot, horizon=30)."
        require(callable(env), "env", env, "it is called with a number of sub-environments and a seed", hint, of=self)
        require_instance("task_sampler", task_sampler, TaskSampler, of=self)
        require_instance("relabeler", relabeler, Relabeler, of=self)
        require_choice("replay_storage", replay_storage, ReplayStorage, of=self)
        require(isinstance(seed, int), "seed", seed, "it must be a whole number", "Set it to 1, say.", of=self)
        with arguments_of(self):
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
        self.replay_storage = replay_storage
        self.replay_folder = replay_folder
        self.reward_model = reward_model
        self.seed = seed
        self.env = env(collection.tasks_per_iteration, seed)
        self.meta_spec: MetaEnvSpec = self.env.meta_spec
        self.task_sampler.bind(self.meta_spec, self.env.task_distribution, seed, rank=0)
        with arguments_of(self):
            self.initial_tasks = self.task_sampler.initial(task_slots)
        check_components(self)
        self.environment_steps = 0
        self._trained_steps = 0  # while a test has set `environment_steps` to those of its checkpoint
        self._returns: list[Tensor] = []
        self._drawn = 0  # batches of this epoch so far
        self.progress: CollectionProgress | None = None
        self._prediction: EvaluationTrials | None = None
        self._ready = False
        self._collected_by: Agent | None = None

    def batches_per_epoch(self, agent: Agent) -> int:
        """Batches that `agent` learns from in an epoch, each in one meta-step."""
        per_iteration = self.batches.meta_steps if agent.learns_from is LearnsFrom.REPLAY else 1
        return self.collection.iterations * per_iteration

    @property
    def agent(self) -> Agent:
        """The algorithm that is being run."""
        assert self.trainer is not None
        return cast(Agent, self.trainer.lightning_module)

    @property
    def device(self) -> torch.device:
        """The algorithm's device."""
        assert self.trainer is not None
        device: torch.device = self.trainer.lightning_module.device
        return device

    def setup(self, stage: str) -> None:
        """Create what training needs, once.

        Raises:
            ConfigurationError: if it holds the data of another algorithm.
        """
        if stage != "fit":
            return
        if self._ready:
            require(
                self._collected_by is self.agent,
                "datamodule",
                type(self).__name__,
                "it holds the data of another algorithm that was trained with it",
                "Create a new RolloutDataModule for every algorithm that is trained.",
            )
            self.environment_steps, self._trained_steps = self._trained_steps or self.environment_steps, 0
            return
        check_agent(self, self.agent)
        check_ranks(self, self.agent, ranks.world_size())
        self._rollout_generator = make_generator(self.seed, ranks.rank(), "rollout")
        if ranks.world_size() > 1:
            seed = derive_seed(self.seed, ranks.rank(), "world")
            self.env = self.make_env(self.collection.of_rank(ranks.world_size()).tasks_per_iteration, seed)
        self.environment_steps = 0  # whatever checkpoint was tested before
        self.collector = Collector(self.env)
        self.experience = self._make_experience()
        self._collected_by = self.agent
        self._ready = True

    def _make_experience(self) -> Experience:
        number, rank = ranks.world_size(), ranks.rank()
        generator = make_generator(self.seed, rank, "meta-batches")
        if self.agent.learns_from is LearnsFrom.TRIALS:
            return TrialExperience(self.belief.of_rank(number) if self.agent.remembers_trials else None, generator)
        self.relabeler.bind(self.seed, rank)
        if self.reward_model is not None:
            self.reward_model.bind(self.meta_spec, self.seed, rank)
        tasks, first_slots = self._slots()
        return ReplayExperience(
            self.env,
            tasks,
            first_slots,
            self.collection.of_rank(number),
            self.batches.of_rank(number),
            -(-self.replay_capacity // number),
            self.relabeler,
            self.reward_model,
            generator,
            self._folder_of_replay(),
        )

    def _folder_of_replay(self) -> Path | None:
        """Where the files of a replay on disk are; None for one in memory."""
        if self.replay_storage == "memory":
            return None
        assert self.trainer is not None
        return Path(self.replay_folder or self.trainer.log_dir or self.trainer.default_root_dir)

    def _slots(self) -> tuple[SampledTasks, Tensor]:
        """The tasks that this rank's slots start with, and the slots to fill before training.

        A task of a fixed set may be given to any rank, so every rank has a slot for each of them, and as many to
        fill as the others. If new tasks take over slots, the ranks share the slots.
        """
        if self.task_sampler.samples_new_tasks:
            tasks = SampledTasks(ranks.share(self.initial_tasks.tasks), ranks.share(self.initial_tasks.ids))
            return tasks, torch.arange(len(tasks))
        slots = len(self.initial_tasks)
        to_fill = -(-slots // ranks.world_size()) * ranks.world_size()
        return self.initial_tasks, ranks.share(torch.arange(to_fill) % slots)

    def train_dataloader(self) -> _MetaIterations:
        """What the algorithm learns from; iterating it runs the meta-iterations of one epoch."""
        if isinstance(self.trainer, pl.Trainer):
            _begin_anew(self.trainer.fit_loop)
        return _MetaIterations(self)

    def val_dataloader(self) -> EvaluationTrials:
        """Finished trials on the validation tasks."""
        return self._held_out_trials("validation", self.evaluation.validation_tasks)

    def test_dataloader(self) -> EvaluationTrials:
        """Finished trials on the test tasks."""
        return self._held_out_trials("test", self.evaluation.test_tasks)

    def predict_dataloader(self) -> EvaluationTrials:
        """Finished trials on the tasks of `predict_on`; without any, those of the test."""
        return self._prediction or self.test_dataloader()

    def predict_on(self, tasks: Tensor | None, make_env: Callable[[int, int], MetaEnv] | None = None) -> None:
        """Predict trials on `tasks` `[tasks, task_dim]`, or the very trials of the test (None).

        They are run in another environment (`make_env`) if one is given.
        """
        purpose = "prediction"
        if tasks is None:
            purpose, tasks = "test", self._held_out_tasks("test", self.evaluation.test_tasks)
        self._prediction = self.evaluation_trials(purpose, tasks, make_env, self._watching)

    def _held_out_trials(self, purpose: EvaluationPurpose, number: int) -> EvaluationTrials:
        return self.evaluation_trials(purpose, self._held_out_tasks(purpose, number))

    def _held_out_tasks(self, purpose: EvaluationPurpose, number: int) -> Tensor:
        generator = make_generator(self.evaluation.seed, 0, f"{purpose} tasks")
        return self.env.evaluation_tasks(purpose).sample(number, generator)

    def evaluation_trials(
        self,
        purpose: str,
        tasks: Tensor,
        make_env: Callable[[int, int], MetaEnv] | None = None,
        watching: Watching = unwatched,
    ) -> EvaluationTrials:
        """Finished trials on `tasks` `[tasks, task_dim]`, in another environment (`make_env`) if one is given.

        `purpose` names their random streams.
        """
        return EvaluationTrials(
            make_env or self.make_env, tasks, self.evaluation, purpose, lambda: (self.agent, self.device), watching
        )

    def run_epoch(self) -> Iterator[Any]:
        """The batches of an epoch; each meta-iteration collects when its first batch is asked for.

        An epoch in which a restored run was interrupted continues with its next batch.
        """
        per_iteration = self.experience.batches_per_iteration
        total = self.collection.iterations * per_iteration
        if self._drawn == total:
            self.end_epoch()
        for drawn in range(self._drawn, total):
            if drawn % per_iteration == 0:
                self._fill_slots()
                self.experience.add(*self.collect(), self.agent)
            batch = self.experience.batch()
            self._drawn += 1
            yield batch

    def end_epoch(self) -> None:
        """The epoch is over, however many of its batches were sampled; its metrics are forgotten."""
        self._returns, self._drawn = [], 0

    def _fill_slots(self) -> None:
        """Collect the data that the task slots start with, unless they have them."""
        groups = self.experience.slots_to_fill()
        if not groups:
            return
        episodes = self.collection.initial_episodes
        trials = episodes * sum(len(slots) for slots, _ in groups)
        with self._watching("initial data", trials * self.meta_spec.horizon):
            for slots, tasks in groups:
                for _ in range(episodes):
                    self.experience.fill(slots, self.run_trials(tasks, 1))

    def collect(self) -> tuple[SampledTasks, Trials]:
        """This rank's trials of a meta-iteration, on sampled tasks; the task sampler is told all ranks' scores.

        Raises:
            ContractError: if the task sampler does not give a task for each trial.
        """
        episodes = self.collection.exploration(self.agent.exploration_episodes) + self.collection.adapted_episodes
        number, task_dim = self.collection.tasks_per_iteration, self.meta_spec.task_dim
        sampled = self.task_sampler.sample(number)
        if tuple(sampled.tasks.shape) != (number, task_dim) or tuple(sampled.ids.shape) != (number,):
            raise ContractError(
                f"{type(self.task_sampler).__name__}.sample",
                f"tasks of shape {tuple(sampled.tasks.shape)} with ids of shape {tuple(sampled.ids.shape)}",
                f"{(number, task_dim)} and {(number,)}: a task for each of the {number} trials",
            )
        own = SampledTasks(ranks.share(sampled.tasks), ranks.share(sampled.ids))
        try:
            with self._watching("trials", len(own) * episodes * self.meta_spec.horizon):
                trials = self.run_trials(own.tasks, episodes)
        except BaseException:  # in a notebook, the next training may go on with this data side
            self.task_sampler.withdraw(number)
            raise
        self.task_sampler.update(sampled, ranks.gather(trials.returns))
        self._returns.append(ranks.gather(trials.episode_returns).mean(0))
        return own, trials

    def run_trials(self, tasks: Tensor, episodes: int) -> Trials:
        """Trials of `episodes` episodes on `tasks` `[n, task_dim]`, of which the task sampler is not told."""
        report = self.progress.advance if self.progress is not None else None
        with ranks.failing_together():
            trials = self.collector.collect(
                self.agent,
                tasks,
                episodes,
                self._rollout_generator,
                device=self.device,
                report=report,
                schedule=self.collection.schedule(self.agent.exploration_episodes),
            )
        self.environment_steps += ranks.total(trials.environment_steps)
        return trials

    @contextmanager
    def _watching(self, description: str, total_steps: int) -> Iterator[ProgressReport | None]:
        """Show progress inside, out of at most `total_steps` environment steps; yields what to report steps to."""
        if self.progress is not None:
            self.progress.begin(description, total_steps)
        yield None if self.progress is None else self.progress.advance
        if self.progress is not None:
            self.progress.end()

    @property
    def metrics(self) -> dict[str, float]:
        """What to log of the epoch, of all ranks; returns are averaged over its meta-iterations."""
        returns = torch.stack(self._returns).mean(0)
        schedule = self.collection.schedule(self.agent.exploration_episodes)
        exploration = self.agent.exploration_episodes if schedule is None else schedule.prior_episodes
        diverged = float(ranks.total(self.env.diverged))
        return {
            "collect/return": float(returns[-1]),
            **({"collect/return_exploration": float(returns[:exploration].mean())} if exploration else {}),
            **({"collect/diverged_episodes": diverged} if diverged else {}),
            **self.task_sampler.metrics(),
            **ranks.mean_by_name(self.experience.metrics()),
        }

    def figures(self) -> dict[str, Figure]:
        """What the task sampler and the collected data have to show, by name."""
        return {**self.task_sampler.figures(), **self.experience.figures()}

    def state_dict(self) -> dict[str, Any]:
        """All state but the collected data, as tensors and primitives."""
        if not self._ready:
            return {}
        return ranks.with_other_ranks(
            {
                "identity": {f"{SAVED_PREFIX}{key}": value for key, value in self._identity().items()},
                "environment_steps": self.environment_steps,
                "returns": list(self._returns),
                "drawn": self._drawn,
                "task_sampler": self.task_sampler.state_dict(),
                "rollout_generator": self._rollout_generator.get_state(),
                "env": self.env.state_dict(),
                "experience": self.experience.state_dict(),
            }
        )

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a state to fit, by argument."""
        return {
            "env": self.meta_spec.name,
            **{f"env ({name})": version for name, version in self.env.versions.items()},
            "task_sampler": type(self.task_sampler).__name__,
            "relabeler": type(self.relabeler).__name__,
            "task_slots": self.task_slots,
            "replay_capacity": self.replay_capacity,
            "collection.tasks_per_iteration": self.collection.tasks_per_iteration,
            "collection.iterations": self.collection.iterations,
            "batches.meta_steps": self.batches.meta_steps,
            "belief.capacity": self.belief.capacity,
            "reward_model": type(self.reward_model).__name__,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave; outside training only the step counter matters.

        Raises:
            ConfigurationError: naming the key, if it is the state of another configuration.
        """
        if not state_dict:
            return
        trained, self.environment_steps = self.environment_steps, state_dict["environment_steps"]
        if not self._ready:
            return
        if self.trainer is not None and self.trainer.state.fn != TrainerFn.FITTING:
            self._trained_steps = self._trained_steps or trained  # what was collected stays for the next training
            return
        for key, value in self._identity().items():
            saved = state_dict["identity"][f"{SAVED_PREFIX}{key}"]
            reason = f"the checkpoint is of a run with {saved!r}"
            require(value == saved, key, value, reason, "Configure it as it was.", of=self)
        state_dict = ranks.state_of_own_rank(state_dict)
        self._returns = list(state_dict["returns"])
        self._drawn = state_dict["drawn"]
        self.task_sampler.load_state_dict(state_dict["task_sampler"])
        self._rollout_generator.set_state(state_dict["rollout_generator"])
        self.env.load_state_dict(state_dict["env"])
        self.experience.load_state_dict(state_dict["experience"])


def _begin_anew(loop: Any) -> None:
    """Let a run with `max_steps` that is resumed after a whole epoch begin the next one.

    Lightning would end the same epoch a second time, or train one more batch in it.
    """
    epoch = loop.epoch_progress.current
    if loop.restarting and epoch.ready == epoch.started == epoch.processed:
        _Loop.restarting.fset(loop, False)  # type: ignore[attr-defined]  # the loop's own setter would refuse


class _MetaIterations:
    """The meta-iterations of an epoch. Its length keeps Lightning from fetching a batch ahead, which would
    let rollouts lag the policy; having a state tells it that an interrupted epoch can be continued."""

    def __init__(self, data: RolloutDataModule) -> None:
        self._data = data

    def __len__(self) -> int:
        return self._data.collection.iterations * self._data.experience.batches_per_iteration

    def __iter__(self) -> Iterator[Any]:
        return self._data.run_epoch()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the DataModule saves how far the epoch went."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing: the DataModule restores it."""
