"""Where the rewards of stored transitions come from, for whichever task they are asked for."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor, nn
from torch.nn import functional

from datamodules import ranks
from datamodules.replay.store import TransitionStore
from envs.base import MetaEnv, Reward
from envs.errors import NonFiniteError, require_positive, require_positive_and_finite
from envs.meta_env_spec import MetaEnvSpec
from envs.randomness import make_generator, sampling_from


class RewardSource(ABC):
    """Gives stored transitions their reward under any task.

    Attributes:
        remembers: what it needs to find stored with a transition: keys of `Trials.steps`, and `task` and `task_id`,
            the task that the transition was collected under and its id.
    """

    remembers: tuple[str, ...]

    @abstractmethod
    def compute_rewards(self, transitions: TensorDict, tasks: Tensor, task_ids: Tensor) -> Reward:
        """The rewards of `transitions` under `tasks` `[..., task_dim]` with ids `[...]`; batch shapes broadcast."""


class KnownReward(RewardSource):
    """The environment's own reward function."""

    remembers = ("features",)

    def __init__(self, env: MetaEnv) -> None:
        self._env = env

    def compute_rewards(self, transitions: TensorDict, tasks: Tensor, task_ids: Tensor) -> Reward:
        return self._env.compute_rewards(transitions["features"], tasks)


class RewardModel(RewardSource):
    """A reward function learned from what was collected, for hindsight where the true one is not known.

    r̂(o, a, ψ) is regressed on the rewards that were collected (HFR, Wan et al. 2022, section 4). Under its own task a
    transition keeps the reward that was collected; under any other task it gets the predicted reward, and
    terminates where it terminated. Several ranks learn one model, each from its own share of the data.

    The defaults are those that HFR was published with: its reward network has a learning rate of its own, and takes a
    gradient step on every meta-batch of 16 tasks × 256 transitions. Three things differ. Transitions are sampled from
    all that is stored, not by task, and their rewards are always the collected ones, whereas the published code also
    learns from its own predictions. The gradient steps come before the meta-iteration's trajectories are relabeled, not
    after. And the network uses torch's initialization.

    Args:
        layers: widths of the hidden layers.
        learning_rate: of Adam.
        gradient_steps: a meta-iteration, after its trials were collected.
        batch_size: transitions in a gradient step, of all ranks.
    """

    remembers = ("reward", "sparse_reward", "terminated", "task", "task_id")

    def __init__(
        self,
        layers: list[int] = [300, 300, 300],  # noqa: B006 - read only; jsonargparse shows it
        learning_rate: float = 1e-3,
        gradient_steps: int = 1000,
        batch_size: int = 4096,
    ) -> None:
        require_positive_and_finite("learning_rate", learning_rate, "HFR uses 1e-3.", of=self)
        require_positive("gradient_steps", gradient_steps, of=self)
        require_positive("batch_size", batch_size, of=self)
        self.layers = layers
        self.learning_rate = learning_rate
        self.gradient_steps = gradient_steps
        self.batch_size = batch_size
        self.error = float("nan")
        self._fitted = False

    def bind(self, meta_spec: MetaEnvSpec, seed: int, rank: int) -> None:
        """Take the environment's sizes and a random stream."""
        self._generator = make_generator(seed, rank, "reward model")
        from torchrl.modules import MLP  # slow to import

        inputs = meta_spec.observation_dim + meta_spec.action_dim + meta_spec.task_dim
        with sampling_from(make_generator(seed, 0, "reward model weights")):
            self.network: nn.Module = MLP(
                in_features=inputs, out_features=2, num_cells=self.layers, activation_class=nn.ReLU
            )
        self._optimizer = torch.optim.Adam(self.network.parameters(), lr=self.learning_rate)

    def fit(self, store: TransitionStore) -> None:
        """Take the gradient steps of a meta-iteration on what `store` holds.

        The stored rewards are those that were collected: predictions are never learned from.

        Raises:
            NonFiniteError: if the error is not finite.
        """
        total = 0.0
        own_batch = -(-self.batch_size // ranks.world_size())
        for _ in range(self.gradient_steps):
            stored = store.written - store.oldest
            numbers = store.oldest + torch.randint(stored, (own_batch,), generator=self._generator)
            batch = store.get(numbers)
            target = torch.stack((batch["reward"], batch["sparse_reward"]), -1)
            loss = functional.mse_loss(self._predict(batch, batch["task"]), target)
            self._optimizer.zero_grad()
            loss.backward()
            ranks.average_([parameter.grad for parameter in self.network.parameters() if parameter.grad is not None])
            self._optimizer.step()
            total += float(loss.detach())
        self.error = sum(ranks.gather_objects(total)) / (ranks.world_size() * self.gradient_steps)
        if not math.isfinite(self.error):
            raise NonFiniteError(f"the squared error of the reward model is {self.error}.")
        self._fitted = True

    @torch.no_grad()
    def compute_rewards(self, transitions: TensorDict, tasks: Tensor, task_ids: Tensor) -> Reward:
        """See `RewardSource.compute_rewards`.

        Raises:
            RuntimeError: if another task's reward is asked for before anything was learned.
        """
        shape = torch.broadcast_shapes(transitions.batch_size, tasks.shape[:-1])
        data, tasks = transitions.expand(shape), tasks.expand(*shape, -1)
        own = data["task_id"] == task_ids
        collected = data["reward"], data["sparse_reward"], data["terminated"]
        if bool(own.all()):
            return Reward(*collected)
        if not self._fitted:
            raise RuntimeError("the reward model was asked for a reward before it has learned from any data.")
        reward, sparse_reward = self._predict(data, tasks).unbind(-1)
        known, known_sparse, terminated = collected
        return Reward(torch.where(own, known, reward), torch.where(own, known_sparse, sparse_reward), terminated)

    def _predict(self, transitions: TensorDict, tasks: Tensor) -> Tensor:
        rows = torch.cat((transitions["observation"], transitions["action"], tasks), -1)
        predicted: Tensor = self.network(rows)
        return predicted

    def metrics(self) -> dict[str, float]:
        """What to log of the last fit."""
        return {"reward_model/squared_error": self.error}

    def state_dict(self) -> dict[str, Any]:
        """All state, as tensors and primitives."""
        return copy.deepcopy(
            {
                "network": self.network.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "generator": self._generator.get_state(),
                "fitted": self._fitted,
                "error": self.error,
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["generator"])
        self._fitted = state["fitted"]
        self.error = state["error"]
