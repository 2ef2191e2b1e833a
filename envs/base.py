"""Contract 1: the world. One instance simulates a batch of copies, each under its own task."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, NamedTuple, NoReturn

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from envs.action_units import ROUNDING, ActionUnits
from envs.compiled.bookkeeping import CLIPPED, REFUSED, all_finite, count, prepare
from envs.errors import ContractError, NonFiniteError, require_positive
from envs.randomness import make_generator
from envs.returned import described, returned
from envs.task_distributions import TaskDistribution

Array = NDArray[Any]
EnvIds = NDArray[np.int64]
"""Indices of copies."""
EvaluationPurpose = Literal["validation", "test"]


class TaskChanges(Enum):
    """What differs between two tasks of a world."""

    REWARD = "reward"
    DYNAMICS = "dynamics"
    BOTH = "reward and dynamics"


@dataclass(frozen=True)
class MetaEnvSpec:
    """The sizes and names of a world, all that an algorithm must know to be built.

    Attributes:
        name: the world's name, as in its gymnasium id.
        observation_dim: numbers in an observation.
        action_dim: numbers in an action; with discrete actions, the number of choices.
        task_names: names of the task's coordinates.
        feature_names: names of the numbers from which a transition's reward follows, for any task.
        horizon: steps after which an episode is cut off.
        task_changes: whether tasks differ in reward, dynamics or both.
        discrete_actions: whether an action is a choice, given as a one-hot vector.
        states: every observation there is, in a world with few; empty in a continuous one.
    """

    name: str
    observation_dim: int
    action_dim: int
    task_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    horizon: int
    task_changes: TaskChanges
    discrete_actions: bool = False
    states: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        for field in ("task_names", "feature_names"):
            names = getattr(self, field)
            if isinstance(names, str):  # the comma of a tuple of one was forgotten
                raise ContractError(
                    f"MetaEnvSpec({self.name!r}).{field}", repr(names), f"a tuple, such as ({names!r},)"
                )
        if self.horizon < 1:
            raise ContractError(f"MetaEnvSpec({self.name!r}).horizon", str(self.horizon), "at least 1 step")

    @property
    def task_dim(self) -> int:
        """Numbers in a task vector."""
        return len(self.task_names)

    @property
    def feature_dim(self) -> int:
        """Numbers in a feature vector."""
        return len(self.feature_names)


class Reward(NamedTuple):
    """What a transition is worth under a task; every tensor has the broadcast batch shape.

    Attributes:
        reward: the (possibly shaped) reward that critics learn from.
        sparse_reward: the reward that the task really pays: what an adapting agent sees and what
            evaluation counts. Equal to `reward` where a world has no shaping.
        terminated: whether the episode ends here for good.
    """

    reward: Tensor
    sparse_reward: Tensor
    terminated: Tensor


class Step(NamedTuple):
    """The outcome of one step of all copies; the first dimension is the copy.

    Attributes:
        observation: after the step, `[copies, observation_dim]`.
        features: `[copies, feature_dim]`.
        reward: see `Reward`, `[copies]` each.
        truncated: whether the horizon was reached, `[copies]`.
        success: whether the task is accomplished, `[copies]`; None in a world without success.
    """

    observation: Tensor
    features: Tensor
    reward: Reward
    truncated: Tensor
    success: Tensor | None


class MetaEnv(VectorEnv[Array, Array, Array], ABC):
    """A batch of copies of one world, each copy with its own task.

    EnvIds never reset on their own (`AutoresetMode.DISABLED`): a trial decides when an episode
    starts. `advance` is the native interface on tensors; `step` is the same for gymnasium users.

    Args:
        num_envs: number of copies.
        seed: seed of the world's own random generator.

    What a subclass returns is checked, copied and brought to float32 before anybody gets it, so that it may return its
    own tensors, numpy's arrays or float64. It must have the shape that its method promises, and be finite.

    Raises:
        ContractError: if the subclass lacks a part, an action space is unbounded, or `world` contradicts the spaces
            or the task distribution.

    Attributes:
        tasks: each copy's task, `[copies, task_dim]`.
        diverged: episodes that ended because the simulation broke down, so far.
        action_units: takes an agent's actions, in [-1, 1], to the units of the environment.
        action_low: smallest entries of an action of `advance`, `[action_dim]`; −1 where actions are discrete.
        action_high: largest entries, `[action_dim]`; 1 where actions are discrete.
    """

    metadata: dict[str, Any] = {
        "autoreset_mode": AutoresetMode.DISABLED,
        "render_modes": ["rgb_array"],
        "render_fps": 20,
    }
    render_mode = "rgb_array"
    meta_spec: MetaEnvSpec
    task_distribution: TaskDistribution
    single_observation_space: gymnasium.spaces.Box
    single_action_space: Any
    """A `Box`, or a `Discrete` space where `world.discrete_actions`."""

    def __init__(self, num_envs: int, seed: int = 0) -> None:
        require_positive("num_envs", num_envs)
        self._check_parts()
        self.num_envs = num_envs
        self.action_units = ActionUnits(self.single_action_space, type(self).__name__)
        self.action_low, self.action_high = self.action_units.low, self.action_units.high
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.generator = make_generator(seed, 0, "world")
        self.tasks = self.task_distribution.sample(num_envs, self.generator)
        self._check_spec()
        self.diverged = 0
        self._elapsed = np.zeros(num_envs, np.int64)
        self._running = np.zeros(num_envs, np.bool_)
        self._all_env_ids = np.arange(num_envs)
        self._action_shape = (num_envs, self.meta_spec.action_dim)
        self._observation_shape = (num_envs, self.meta_spec.observation_dim)
        self._has_told_of_clipping = False
        if self.meta_spec.discrete_actions:
            self._highest = np.full(self.meta_spec.action_dim, np.inf, np.float32)  # of a choice, only the order counts
            self._lowest = -self._highest
        else:
            self._lowest, self._highest = self.action_low.numpy(), self.action_high.numpy()

    def _check_parts(self) -> None:
        """Refuse a class without a part that every environment has, or with something else in its place."""
        for name, kind, expected in (
            ("meta_spec", MetaEnvSpec, "a MetaEnvSpec"),
            ("task_distribution", TaskDistribution, "a TaskDistribution (envs.task_distributions)"),
            ("single_observation_space", gymnasium.spaces.Box, "a Box of one dimension"),
            ("single_action_space", gymnasium.spaces.Space, "a bounded Box of one dimension or a Discrete space"),
        ):
            part = getattr(self, name, None)
            if not isinstance(part, kind):
                raise ContractError(f"{type(self).__name__}.{name}", "nothing" if part is None else str(part), expected)

    def _check_spec(self) -> None:
        """Refuse a `MetaEnvSpec` of other sizes than the spaces and the tasks drawn first."""
        spec, units = self.meta_spec, self.action_units
        for name, said, of, actual in (
            ("discrete_actions", spec.discrete_actions, "single_action_space", units.discrete),
            ("observation_dim", spec.observation_dim, "single_observation_space", self.single_observation_space.shape),
            ("action_dim", spec.action_dim, "single_action_space", (units.dim,)),
            ("task_dim", spec.task_dim, "task_distribution", tuple(self.tasks.shape[1:])),
        ):
            if actual not in (said, (said,)):  # a size may come as a shape
                raise ContractError(f"{spec.name}: its MetaEnvSpec", f"{name} = {said}", f"that of its {of}, {actual}")

    @abstractmethod
    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        """The reward of transitions with `features` `[..., feature_dim]` under `tasks` `[..., task_dim]`.

        Pure, and broadcasting over all leading dimensions: trajectories `[1, time, features]` and
        tasks `[tasks, 1, coordinates]` give rewards `[tasks, time]`.
        """

    def success(self, features: Tensor, tasks: Tensor) -> Tensor | None:
        """Whether transitions accomplish the task, shaped as `reward`; None if the world has no such notion."""
        return None

    def evaluation_tasks(self, purpose: EvaluationPurpose) -> TaskDistribution:
        """What validation or test draws its tasks from: the reference distribution, unless tasks are kept apart."""
        return self.task_distribution

    @property
    def versions(self) -> dict[str, str]:
        """What a run must record of where its world comes from, by name: versions that change what is measured."""
        return {}

    @abstractmethod
    def _start(self, env_ids: Tensor) -> None:
        """Put `copies` (indices) into a fresh initial state."""

    @abstractmethod
    def _simulate(self, actions: Tensor, env_ids: Tensor) -> Tensor:
        """Advance `copies` (indices) by one step under `actions` `[len(copies), action_dim]`; their features."""

    @abstractmethod
    def _observe(self) -> Tensor:
        """The current observation of every copy, `[copies, observation_dim]`."""

    @abstractmethod
    def _simulation_state(self) -> dict[str, Tensor]:
        """Tensors that hold the exact state of the simulation; `_load_simulation_state` takes them back."""

    @abstractmethod
    def _load_simulation_state(self, state: dict[str, Tensor]) -> None:
        """Restore what `_simulation_state` gave."""

    def has_tasks(self, tasks: Tensor) -> Tensor:
        """Which of `tasks` `[tasks, task_dim]` are tasks of this world, to train or to test on, `[tasks]`."""
        return self.task_distribution.contains(tasks) | self.evaluation_tasks("test").contains(tasks)

    def set_tasks(self, tasks: Tensor) -> None:
        """Give every copy its task, `[copies, task_dim]`; it holds from the next reset on.

        Raises:
            ValueError: if the shape is not that, or a task is not one of this world.
        """
        tasks = torch.as_tensor(tasks, dtype=torch.float32)
        expected = (self.num_envs, self.meta_spec.task_dim)
        if tuple(tasks.shape) != expected:
            raise ValueError(f"{self.meta_spec.name}: tasks have shape {tuple(tasks.shape)}, expected {expected}.")
        outside = ~self.has_tasks(tasks)
        if bool(outside.any()):
            env_id = int(outside.nonzero()[0, 0])
            raise ValueError(
                f"{self.meta_spec.name}, copy {env_id}: task {tasks[env_id].tolist()} lies outside the world's tasks."
            )
        self.tasks = tasks.clone()

    def restart(self, env_ids: Tensor | None = None) -> Tensor:
        """Start a new episode in `copies` (indices; None for all); the observations of every copy."""
        if env_ids is None:
            env_ids = torch.from_numpy(self._all_env_ids)
        self._start(env_ids)
        rows = env_ids.numpy()
        self._elapsed[rows] = 0
        self._running[rows] = True
        observation = self._seen()
        if not np.isfinite(observation.numpy()[rows]).all():
            self._blame(rows, {"_observe": observation}, "after a reset")
        return observation

    def _seen(self) -> Tensor:
        """The current observation of every copy, which nobody else holds, `[copies, observation_dim]`."""
        return returned(self._observe(), f"{type(self).__name__}._observe", self._observation_shape)

    def advance(self, actions: Tensor, active: Tensor | None = None) -> Step:
        """Advance by one step.

        Args:
            actions: `[copies, action_dim]` in the environment's own units: within its bounds (clipped otherwise, with
                one warning), or one-hot where actions are discrete (the largest entry counts). Choices `[copies]`,
                whole numbers counted from the space's `start`, will do too. An agent's actions, in [-1, 1], are
                others: `action_units` converts them, and `datamodules.collection.RunningTrial` acts in these units.
            active: `[copies]`, the copies that take part (None for all). The others stay as they
                are; their rows of the result are meaningless.

        Raises:
            RuntimeError: if an active copy has ended or was never reset.
            ValueError: if the shape of the actions or of `active` is wrong, or no copy is active.
            ContractError: if a method of the subclass returns something of another kind or shape than it promises.
            NonFiniteError: if an active copy's action is not finite, or what a method of the subclass returned for it.
        """
        env_ids = self._all_env_ids if active is None else self._active(active)
        features, reward = self._transition(self._checked(actions, env_ids), env_ids)
        observation, success = self._seen(), self._succeeded(features)
        sums = reward.reward.numpy(), reward.sparse_reward.numpy()
        if not all_finite(env_ids, observation.numpy(), features.numpy(), *sums):
            reported = {"_simulate": features, "reward": reward.reward, "reward (sparse)": reward.sparse_reward}
            self._blame(env_ids, {**reported, "_observe": observation}, "after a step")
        truncated = np.empty(self.num_envs, np.bool_)
        count(env_ids, self._elapsed, self._running, reward.terminated.numpy(), self.meta_spec.horizon, truncated)
        return Step(observation, features, reward, torch.from_numpy(truncated), success)

    def _transition(self, actions: Array, env_ids: EnvIds) -> tuple[Tensor, Reward]:
        """Features and rewards of every copy, of which `copies` act by `actions` `[len(copies), action_dim]`.

        They are new tensors of the right kind and shape.
        """
        rows = torch.from_numpy(env_ids)
        shape = (env_ids.size, self.meta_spec.feature_dim)
        features = returned(self._simulate(torch.from_numpy(actions), rows), f"{type(self).__name__}._simulate", shape)
        if env_ids.size < self.num_envs:
            features = features.new_zeros(self.num_envs, self.meta_spec.feature_dim).index_copy_(0, rows, features)
        return features, self._rewards(features, self.tasks, (self.num_envs,))

    def compute_rewards(self, features: Tensor, tasks: Tensor) -> Reward:
        """What `reward` gives, for anybody but the environment itself: new tensors of the broadcast batch shape.

        Args:
            features: `[..., feature_dim]`.
            tasks: `[..., task_dim]`.

        Raises:
            ContractError: if `reward` returns something of another kind or shape.
        """
        return self._rewards(features, tasks, tuple(torch.broadcast_shapes(features.shape[:-1], tasks.shape[:-1])))

    def _rewards(self, features: Tensor, tasks: Tensor, shape: tuple[int, ...]) -> Reward:
        owner, given = f"{type(self).__name__}.reward", self.reward(features, tasks)
        if not isinstance(given, tuple) or len(given) != 3:
            raise ContractError(owner, described(given), "a Reward(reward, sparse_reward, terminated)")
        values = []
        for name, value in zip(Reward._fields, given):
            if isinstance(value, Tensor) and value.ndim == len(shape) > 1:  # the same for all tasks, or all features
                value = value.expand(torch.broadcast_shapes(value.shape, shape))
            dtype = torch.bool if name == "terminated" else torch.float32
            values.append(returned(value, f"{owner}, as `{name}`,", shape, dtype, features.device))
        return Reward(*values)

    def _succeeded(self, features: Tensor) -> Tensor | None:
        """Whether the copies accomplished their tasks in transitions with `features`, `[copies]`."""
        success = self.success(features, self.tasks)
        if success is None:
            return None
        return returned(success, f"{type(self).__name__}.success", (self.num_envs,), torch.bool)

    def _blame(self, env_ids: EnvIds, reported: dict[str, Tensor], when: str) -> NoReturn:
        """Say what is not finite, of which method, in which of `copies` (indices) and under which task."""
        for method, values in reported.items():
            rows = (~np.isfinite(values.numpy()[env_ids])).reshape(len(env_ids), -1).any(-1)
            if rows.any():
                env_id = int(env_ids[rows.argmax()])
                raise NonFiniteError(
                    f"{type(self).__name__}.{method} gives {values[env_id].tolist()} {when} in sub-environment {env_id}, "
                    f"whose task is {self.tasks[env_id].tolist()}, expected finite numbers."
                )
        raise AssertionError(when)

    def _active(self, active: Tensor) -> EnvIds:
        """The indices of the copies that the mask `active` `[copies]` names."""
        if active.shape != (self.num_envs,):
            raise ValueError(
                f"{self.meta_spec.name}: active has shape {tuple(active.shape)}, expected {(self.num_envs,)}."
            )
        return np.flatnonzero(active.numpy())

    def _checked(self, actions: Tensor, env_ids: EnvIds) -> Array:
        """The actions of `copies` (indices), within the bounds, `[len(copies), action_dim]`."""
        if actions.ndim == 1 and self.meta_spec.discrete_actions and len(actions) == self.num_envs:
            actions = self.action_units.one_hot(actions, self.meta_spec.name)
        if actions.shape != self._action_shape:
            raise ValueError(
                f"{self.meta_spec.name}: actions have shape {tuple(actions.shape)}, expected {self._action_shape}."
            )
        if not env_ids.size:
            raise ValueError(f"{self.meta_spec.name}: no copy is active, so there is nothing to advance.")
        prepared: Array = np.empty((env_ids.size, self.meta_spec.action_dim), np.float32)
        chosen = np.ascontiguousarray(actions.detach().cpu().numpy(), np.float32)
        result = prepare(chosen, env_ids, self._running, self._lowest, self._highest, ROUNDING, prepared)
        if result == REFUSED:
            self._refuse(chosen, env_ids)
        if result == CLIPPED and not self._has_told_of_clipping:
            self._tell_of_clipping(chosen, env_ids)
        return prepared

    def _tell_of_clipping(self, actions: Array, env_ids: EnvIds) -> None:
        """Warn, once, that one of `copies` (indices) acts out of bounds: mostly, that is an agent's own action."""
        self._has_told_of_clipping = True
        beyond = np.maximum(actions[env_ids] - self._highest, self._lowest - actions[env_ids]).max(-1)
        env_id = int(env_ids[beyond.argmax()])
        coordinate = int(np.maximum(actions[env_id] - self._highest, self._lowest - actions[env_id]).argmax())
        action, low, high = (float(row[coordinate]) for row in (actions[env_id], self._lowest, self._highest))
        warnings.warn(
            f"{self.meta_spec.name}, sub-environment {env_id}: coordinate {coordinate} of the action is {action:.4g} and is "
            f"clipped to {low:.4g} to {high:.4g}. An agent's actions lie in [-1, 1]: act through "
            "datamodules.collection.RunningTrial, or convert them with env.action_units.rescaled. "
            "Later actions are clipped without another warning.",
            stacklevel=4,
        )

    def _refuse(self, actions: Array, env_ids: Array) -> NoReturn:
        """Say which of `copies` (indices) may not act like that."""
        idle = ~self._running[env_ids]
        if idle.any():
            raise RuntimeError(
                f"{self.meta_spec.name}, copy {env_ids[idle.argmax()]}: the episode has ended or never started; "
                "reset this copy first."
            )
        env_id = env_ids[(~np.isfinite(actions[env_ids])).any(-1).argmax()]
        raise NonFiniteError(f"{self.meta_spec.name}, copy {env_id}: action {actions[env_id].tolist()} is not finite.")

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Gymnasium's reset. `options["reset_mask"]` `[copies]` resets only those copies."""
        if isinstance(seed, list):
            raise ValueError(f"{self.meta_spec.name}: the copies share one generator; give one seed, not a list.")
        if seed is not None:
            self.generator = make_generator(seed, 0, "world")
        mask = (options or {}).get("reset_mask")
        env_ids = None if mask is None else torch.as_tensor(mask).nonzero()[:, 0]
        return self.restart(env_ids).numpy(), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Gymnasium's step; `info` holds `features` and `sparse_reward` (and `success`, where defined)."""
        result = self.advance(self._action_tensor(actions))
        info: dict[str, Any] = {
            "features": result.features.numpy(),
            "sparse_reward": result.reward.sparse_reward.numpy(),
        }
        if result.success is not None:
            info["success"] = result.success.numpy()
        return (
            result.observation.numpy(),
            result.reward.reward.numpy(),
            result.reward.terminated.numpy(),
            result.truncated.numpy(),
            info,
        )

    def _action_tensor(self, actions: Array) -> Tensor:
        """Gymnasium's actions as those of `advance`: `[copies, action_dim]`, or choices `[copies]`."""
        if not self.meta_spec.discrete_actions:
            return torch.as_tensor(actions, dtype=torch.float32)
        choices = torch.as_tensor(actions)
        if choices.shape != (self.num_envs,):
            raise ValueError(
                f"{self.meta_spec.name}: actions have shape {tuple(choices.shape)}, expected {(self.num_envs,)}."
            )
        return choices

    def draw(self, env_id: int) -> NDArray[np.uint8]:
        """A picture of a copy's current state, `[height, width, 3]`."""
        raise NotImplementedError(f"{self.meta_spec.name} has no picture.")

    def render(self) -> tuple[Array, ...]:
        """A picture of every copy, `[height, width, 3]` each."""
        return tuple(self.draw(env_id) for env_id in range(self.num_envs))

    def state_dict(self) -> dict[str, Tensor]:
        """The exact state: tasks, episode clocks, simulation and random generator."""
        return {
            "tasks": self.tasks.clone(),
            "elapsed": torch.from_numpy(self._elapsed.copy()),
            "running": torch.from_numpy(self._running.copy()),
            "diverged": torch.tensor(self.diverged),
            "generator": self.generator.get_state(),
            **{f"simulation/{key}": torch.as_tensor(value).clone() for key, value in self._simulation_state().items()},
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            ValueError: if it is the state of another number of copies.
        """
        num_envs = len(state["elapsed"])
        if num_envs != self.num_envs:
            raise ValueError(f"{self.meta_spec.name}: a state of {num_envs} copies does not fit {self.num_envs}.")
        self.tasks = state["tasks"].clone()
        self._elapsed = state["elapsed"].numpy().copy()
        self._running = state["running"].numpy().copy()
        self.diverged = int(state["diverged"])
        self.generator.set_state(state["generator"])
        prefix = "simulation/"
        self._load_simulation_state(
            {key.removeprefix(prefix): value.clone() for key, value in state.items() if key.startswith(prefix)}
        )


def never(like: Tensor) -> Tensor:
    """No episode ends: False everywhere, shaped as `like`."""
    return torch.zeros_like(like, dtype=torch.bool)


def box(low: float, high: float, size: int) -> gymnasium.spaces.Box:
    """A float32 box space of `size` coordinates with common bounds."""
    return gymnasium.spaces.Box(low, high, (size,), np.float32)
