"""What every algorithm must define: the agent contract, a training step and its optimizers."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from tensordict import TensorDict
from torch import Tensor

from datamodules import ranks
from datamodules.collection import Trials
from datamodules.contracts import Decision, LearnsFrom, Transition
from envs.constructor_arguments import RemembersArguments
from envs.errors import ConfigurationError, require, require_instance
from envs.meta_env_spec import MetaEnvSpec
from envs.randomness import make_generator
from lit_metarl.checkpoints.initial_weights import sizes_of
from lit_metarl.checkpoints.made_of import MADE_OF, description
from lit_metarl.evaluation import LearningCurves, TaskResults, TrialMetrics, check_modes
from lit_metarl.non_finite import GradientWatch, check_finite
from lit_metarl.optim.averaged_gradients import AveragedGradients, require_equal_parameters
from lit_metarl.optim.optimizer_plan import OptimizerPlan, RunSchedule
from lit_metarl.rollout_data import rollout_data
from lit_metarl.sampler_warnings import warn_of_task_sampler
from lit_metarl.steps import count_meta_steps, log_against, log_as_given, log_at
from lit_metarl.threads import warn_of_threads
from lit_metarl.trainer_arguments import check_restores_experience, check_trainer, check_weights_are_single

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = "curves"


class MetaRLModule(RemembersArguments, pl.LightningModule, ABC):
    """A meta-RL algorithm: an adapting agent (`datamodules.contracts.Agent`) that can be trained.

    An algorithm defines the agent's four methods, `update` and `configure_optimizers`. Optimization
    is manual. All scalars are logged against environment steps, whatever step they are logged with;
    `trainer.global_step` counts meta-steps (calls of `update`).

    Args:
        meta_spec: sizes of the environment to act in.
        exploration_episodes: episodes at a trial's start that only gather information.
        cvar_alpha: share of tasks that counts as the tail in the reported CVaR.
        seed: seed of the algorithm's random stream.

    Attributes:
        learns_from: what `update` is given.
        remembers_trials: whether an on-policy algorithm is given earlier trials too.
        evaluated: the last validation or test, task by task; None before there is one.
        curves: everything that was logged in training, against environment steps.
    """

    learns_from: ClassVar[LearnsFrom] = LearnsFrom.REPLAY
    remembers_trials: ClassVar[bool] = False

    def __init__(
        self, meta_spec: MetaEnvSpec, exploration_episodes: int, cvar_alpha: float = 0.05, seed: int = 1
    ) -> None:
        require_instance("meta_spec", meta_spec, MetaEnvSpec, of=self)
        reason, hint = "it must lie in (0, 1]", "RoML reports 0.05, or 0.01 on KhazadDum."
        require(0.0 < cvar_alpha <= 1.0, "cvar_alpha", cvar_alpha, reason, hint, of=self)
        super().__init__()
        self.automatic_optimization = False
        self.meta_spec = meta_spec
        self.exploration_episodes = exploration_episodes
        self.generator = make_generator(seed, 0, "algorithm")
        self._seed = seed
        self.cvar_alpha = cvar_alpha
        self._evaluation = TrialMetrics(cvar_alpha)
        self.evaluated: TaskResults | None = None
        self.curves = LearningCurves()
        self._made_of: dict[str, Any] = {}
        self._started = time.monotonic()
        self._seconds_before = 0.0  # of the run, before it was resumed
        self._sums: dict[str, Tensor] = {}
        self._updates = 0
        self._last_logged: dict[str, float] = {}  # of the last epoch
        self._resumed = False
        self._set_up = False
        self._gradients = GradientWatch()

    @abstractmethod
    def start_trial(self, n: int, generator: torch.Generator) -> TensorDict:
        """The belief at the start of trials on `n` new tasks."""

    @abstractmethod
    def act(self, observation: Tensor, belief: TensorDict, deterministic: bool, generator: torch.Generator) -> Decision:
        """Choose an action for every task's `observation` `[tasks, observation_dim]`."""

    @abstractmethod
    def observe(self, belief: TensorDict, transition: Transition) -> TensorDict:
        """The belief after a step."""

    @abstractmethod
    def end_episode(self, belief: TensorDict, generator: torch.Generator) -> TensorDict:
        """The belief at the start of the trial's next episode."""

    @abstractmethod
    def update(self, batch: Any) -> dict[str, Tensor]:
        """Take the optimizer steps for one batch; returns the scalars to log, detached."""

    def with_schedules(self, *planned: tuple[OptimizerPlan, torch.optim.Optimizer]) -> Any:
        """What `configure_optimizers` returns: optimizers, and those schedules that change a learning rate."""
        optimizers = [optimizer for _, optimizer in planned]
        schedules = [
            RunSchedule(optimizer, plan.schedule, self.trainer.estimated_stepping_batches)
            for plan, optimizer in planned
            if plan.schedule != "constant"
        ]
        if schedules:
            return optimizers, schedules
        return optimizers if len(optimizers) > 1 else optimizers[0]

    @property
    def environment_steps(self) -> int:
        """Environment steps collected so far."""
        return rollout_data(self.trainer).environment_steps

    def setup(self, stage: str) -> None:
        """Check what this is run with, derive this rank's random stream, and set the axis of all loggers.

        Raises:
            ConfigurationError: if there is no `RolloutDataModule`, an argument of the Trainer has no effect here or
                another one than documented, a callback's mode is the opposite of its metric's, or several ranks would
                not average their gradients.
        """
        check_trainer(self.trainer, rollout_data(self.trainer), self, fits=stage == "fit")
        check_weights_are_single(self)
        self._made_of = {
            "model": description(self, left_out=("meta_spec",)),
            "env": description(rollout_data(self.trainer).env, left_out=("num_envs", "seed")),
        }
        log_against(lambda: self.environment_steps, self.trainer.loggers)
        if stage == "fit":
            untyped: Any = self.trainer
            check_modes(untyped.callbacks)
            require(
                ranks.world_size() == 1 or isinstance(self.trainer.strategy, AveragedGradients),
                "strategy",
                type(self.trainer.strategy).__name__,
                "several ranks need the strategy ddp as train.py registers it",
                "Use --trainer.strategy=ddp; from Python, lit_metarl.optim.averaged_gradients.AveragedGradients().",
                of=self.trainer,
            )
            if not self._set_up:  # else training continues, and so does the stream
                self.generator = make_generator(self._seed, ranks.rank(), "algorithm")
            self._set_up = True

    def teardown(self, stage: str) -> None:
        """Leave the loggers as they were."""
        log_as_given(self.trainer.loggers)

    @property
    def wall_clock_s(self) -> float:
        """Seconds of training so far, including those before the run was resumed."""
        return self._seconds_before + time.monotonic() - self._started

    def on_fit_start(self) -> None:
        """Start the clock. A resumed run logs its last epoch again, in case it crashed before logging it."""
        warn_of_threads(self.device)
        warn_of_task_sampler(self.trainer, rollout_data(self.trainer), self.cvar_alpha)
        self._started = time.monotonic()
        if self._resumed and self._last_logged:
            step = int(self._last_logged["step"])
            scalars = {name: value for name, value in self._last_logged.items() if name != "step"}
            log_at(step, scalars, self.trainer.loggers)
        self._resumed = False

    def on_fit_end(self) -> None:
        """Stop the clock, so that another `fit` of the same algorithm continues it."""
        self._seconds_before, self._started = self.wall_clock_s, time.monotonic()

    def on_train_epoch_start(self) -> None:
        """Warn if no scheduler of `configure_optimizers` was stepped in the first epoch: only the algorithm can."""
        schedulers: list[Any] = [config.scheduler for config in self.trainer.lr_scheduler_configs]
        if schedulers and self.current_epoch == 1 and all(scheduler.last_epoch == 0 for scheduler in schedulers):
            rank_zero_warn(
                f"The learning-rate schedulers of {type(self).__name__} were not stepped in the first epoch: under "
                "manual optimization Lightning leaves that to the algorithm. Call their step() in update or in "
                "on_train_epoch_end."
            )

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """One update; its scalars are averaged over the epoch.

        Raises:
            NonFiniteUpdate: if a scalar or a gradient is not finite.
        """
        scalars = self.update(batch)
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, RunSchedule):
                config.scheduler.step()
        count_meta_steps(self.trainer, self._meta_steps)
        check_finite(self, scalars, self._gradients, self._meta_steps, batch)
        for name, value in scalars.items():
            self._sums[name] = self._sums.get(name, torch.zeros((), device=self.device)) + value
        self._updates += 1

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Record the norm of the gradient; `training_step` checks all of them together.

        During an update, `trainer.global_step` is the number of complete meta-steps.
        """
        count_meta_steps(self.trainer, self._meta_steps - 2)  # Lightning adds this one
        self._gradients.observe(optimizer)

    @property
    def _meta_steps(self) -> int:
        """Meta-steps so far, including the current one."""
        return self.trainer.fit_loop.total_batch_idx + 1

    def on_train_epoch_end(self) -> None:
        """Log the epoch's averages and the data side's metrics.

        Raises:
            ConfigurationError: if the ranks have drifted apart.
        """
        require_equal_parameters(self)
        data = rollout_data(self.trainer)
        averages = ranks.mean_by_name(
            {f"train/{name}": float(total / self._updates) for name, total in self._sums.items()}
        )
        progress = {
            "progress/meta_steps": float(self._meta_steps),
            "progress/wall_clock_s": self.wall_clock_s,
        }
        scalars = {**averages, **data.metrics, **progress}
        self.log_dict(scalars)
        self.curves.add(self.environment_steps, scalars)
        self._last_logged = {
            "step": self.environment_steps,
            **{name: float(value) for name, value in scalars.items()},
        }
        self._sums, self._updates = {}, 0
        data.end_epoch()

    def figures(self) -> dict[str, Figure]:
        """Figures of the last validation or test, by name."""
        if self.evaluated is None:
            return {}
        from lit_metarl.figures import plot_beliefs, plot_returns  # slow to import

        names = self.meta_spec.task_names
        beliefs = plot_beliefs(self.evaluated, names)
        return {
            "tasks/return": plot_returns(self.evaluated, names),
            **({} if beliefs is None else {"tasks/belief": beliefs}),
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save what is in neither weights nor optimizers."""
        # Lightning's hyper-parameters may be objects, which are not read back: a checkpoint must not run code.
        for owner in (pl.LightningModule, pl.LightningDataModule):
            for key in ("KEY", "NAME", "TYPE"):
                checkpoint.pop(getattr(owner, f"CHECKPOINT_HYPER_PARAMS_{key}"), None)
        checkpoint[MADE_OF] = self._made_of
        checkpoint[CURVES] = self.curves.state_dict()
        checkpoint["algorithm"] = ranks.with_other_ranks(
            {
                "class": type(self).__name__,
                "sizes": sizes_of(self.meta_spec),
                "generator": self.generator.get_state(),
                "seconds": self.wall_clock_s,
                "sums": {name: total.cpu() for name, total in self._sums.items()},
                "updates": self._updates,
                "last_logged": self._last_logged,
            }
        )

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Refused, for a checkpoint's own settings would be left out: `lit_metarl.trained.load_trained` knows them.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(
            f"{cls.__name__}.load_from_checkpoint",
            str(checkpoint_path),
            "Lightning would build the algorithm with other settings than those it was trained with",
            "Use lit_metarl.trained.load_trained(path).algorithm.",
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore what `on_save_checkpoint` saved, to continue training.

        Raises:
            ConfigurationError: if it is a checkpoint of another algorithm, or nothing restores what it collected.
        """
        state = checkpoint.get("algorithm")
        if state is None:
            return
        name = type(self).__name__
        hint = "Give the model that the run was trained with."
        require(state["class"] == name, "model", name, f"the checkpoint is of {state['class']}", hint)
        if self._trainer is None or self.trainer.state.fn != "fit":
            return
        check_restores_experience(self.trainer)
        self.curves.load_state_dict(checkpoint[CURVES])
        state = ranks.state_of_own_rank(state)
        self.generator.set_state(state["generator"])
        self._seconds_before = state["seconds"]
        self._sums = {key: value.to(self.device) for key, value in state["sums"].items()}
        self._updates = state["updates"]
        self._last_logged = state["last_logged"]
        self._resumed = True

    def validation_step(self, trials: Trials, batch_idx: int) -> None:
        """Take in finished trials."""
        self._evaluation.update(trials)

    def test_step(self, trials: Trials, batch_idx: int) -> None:
        """Take in finished trials."""
        self._evaluation.update(trials)

    def predict_step(self, trials: Trials, batch_idx: int) -> Trials:
        """The trials themselves."""
        return trials

    def on_validation_epoch_end(self) -> None:
        """Log the evaluation under `val/`; during training, also pass its returns to the task sampler."""
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            rollout_data(self.trainer).task_sampler.take_validation(self._evaluation.by_task().returns.sum(1))
        self._log_evaluation("val")

    def on_test_epoch_end(self) -> None:
        """Log the evaluation under `test/`."""
        self._log_evaluation("test")

    def _log_evaluation(self, prefix: str) -> None:
        metrics = {f"{prefix}/{name}": value for name, value in self._evaluation.compute().items()}
        self.evaluated = self._evaluation.by_task()
        self._evaluation.reset()
        self.log_dict(metrics)
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self.curves.add(self.environment_steps, metrics)
