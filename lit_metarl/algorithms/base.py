"""What every algorithm must define: the agent contract, a training step and its optimizers."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection import Trials
from datamodules.contracts import Decision, LearnsFrom, Transition
from envs.base import WorldSpec
from envs.randomness import make_generator
from lit_metarl.evaluation import TrialMetrics


class MetaRLModule(pl.LightningModule, ABC):
    """A meta-RL algorithm: an adapting agent (`datamodules.contracts.Agent`) that can be trained.

    An algorithm defines the agent's four methods, `update` and `configure_optimizers`. Optimisation
    is manual. Every scalar is logged against environment steps.

    Args:
        world: sizes of the world to act in.
        exploration_episodes: episodes at a trial's start that only gather information.
        cvar_alpha: share of tasks that counts as the tail in the reported CVaR.
        seed: seed of the algorithm's random stream.

    Attributes:
        learns_from: what `update` is given.
        remembers_trials: whether an on-policy algorithm is given earlier trials too.
    """

    learns_from: ClassVar[LearnsFrom] = LearnsFrom.REPLAY
    remembers_trials: ClassVar[bool] = False

    def __init__(self, world: WorldSpec, exploration_episodes: int, cvar_alpha: float = 0.05, seed: int = 1) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.world = world
        self.exploration_episodes = exploration_episodes
        self.generator = make_generator(seed, 0, "algorithm")
        self._seed = seed
        self._evaluation = TrialMetrics(cvar_alpha)
        self._started = time.monotonic()
        self._sums: dict[str, Tensor] = {}
        self._updates = 0

    @abstractmethod
    def start_trial(self, n: int, generator: torch.Generator) -> TensorDict:
        """The belief before anything of `n` new tasks was seen."""

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
        """Take the optimizer steps for one batch; the scalars to log, detached."""

    @property
    def environment_steps(self) -> int:
        """Environment steps made so far, by all of collection."""
        data: Any = getattr(self.trainer, "datamodule", None)
        return int(data.environment_steps)

    def setup(self, stage: str) -> None:
        """Derive this rank's random stream."""
        if stage == "fit":
            self.generator = make_generator(self._seed, self.global_rank, "algorithm")

    def on_fit_start(self) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """One update; its scalars are averaged over the epoch."""
        for name, value in self.update(batch).items():
            self._sums[name] = self._sums.get(name, torch.zeros((), device=self.device)) + value
        self._updates += 1

    def on_train_epoch_end(self) -> None:
        """Log the epoch's averages and what the data side has to tell."""
        data: Any = getattr(self.trainer, "datamodule", None)
        averages = {f"train/{name}": total / self._updates for name, total in self._sums.items()}
        beside = {
            "progress/meta_steps": float(self.trainer.fit_loop.total_batch_idx + 1),
            "progress/wall_clock_s": time.monotonic() - self._started,
        }
        self._log({**averages, **data.metrics, **beside})
        self._sums, self._updates = {}, 0

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
        """Log the evaluation under `val/`."""
        self._log_evaluation("val")

    def on_test_epoch_end(self) -> None:
        """Log the evaluation under `test/`."""
        self._log_evaluation("test")

    def _log_evaluation(self, prefix: str) -> None:
        figures = self._evaluation.compute()
        self._evaluation.reset()
        self._log({f"{prefix}/{name}": value for name, value in figures.items()})

    def _log(self, scalars: dict[str, Any]) -> None:
        """Log against environment steps (Lightning takes the x-axis from `step`)."""
        self.log("step", torch.tensor(self.environment_steps, dtype=torch.float64))
        self.log_dict(scalars)
