"""Contract 1: the environment. One instance simulates a batch of sub-environments, each with its own task."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, Literal, NamedTuple, get_args

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from envs.action_units import ActionUnits
from envs.constructor_arguments import RemembersArguments
from envs.errors import ContractError, NonFiniteError, require_positive
from envs.given_actions import GivenActions
from envs.meta_env_spec import MetaEnvSpec
from envs.randomness import make_generator
from envs.returned import described, returned
from envs.task_distributions import TaskDistribution

Array = NDArray[Any]
EnvIds = NDArray[np.int64]
"""Indices of sub-environments."""
EvaluationPurpose = Literal["validation", "test"]


class Reward(NamedTuple):
    """Rewards of transitions under tasks; every tensor has the broadcast batch shape.

    Attributes:
        reward: the (possibly shaped) reward that critics learn from.
        sparse_reward: the task's own reward: what an adapting agent sees and what evaluation counts. Equal to
            `reward` where the environment has no shaping.
        terminated: whether the episode terminates here.
    """

    reward: Tensor
    sparse_reward: Tensor
    terminated: Tensor


class MetaEnv(RemembersArguments, VectorEnv[Tensor, Tensor, Tensor], ABC):
    """A batch of sub-environments of one kind, each with its own task.

    A `gymnasium.vector.VectorEnv` whose observations, actions and rewards are torch tensors. Sub-environments never
    reset on their own (`AutoresetMode.DISABLED`): a trial decides when an episode starts. One whose episode has ended
    ignores its actions, keeps its observation and gets rewards of 0 until it is reset. Gymnasium's wrapper
    `ArrayConversion(env, env_xp=torch, target_xp=numpy)` (`gymnasium[array-api]`) gives NumPy arrays instead.

    Whatever a subclass returns is checked, copied and converted to float32, so it may return its own tensors, NumPy
    arrays or float64. It must be finite and have the shape that the method promises.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        horizon: steps of an episode; None for that of `meta_spec`.

    Raises:
        ContractError: if the subclass lacks a part, the action space is unbounded, or `meta_spec` contradicts the
            spaces or the task distribution.

    Attributes:
        tasks: the task of each sub-environment, `[num_envs, task_dim]`.
        diverged: number of episodes so far that ended because the simulation broke down.
        action_units: converts an agent's actions, in [-1, 1], to the units of the environment.
        action_low: lower bounds of an action, `[action_dim]`; −1 where actions are discrete.
        action_high: upper bounds of an action, `[action_dim]`; 1 where actions are discrete.
    """

    metadata: dict[str, Any] = {
        "autoreset_mode": AutoresetMode.DISABLED,
        "render_modes": ["rgb_array"],
        "render_fps": 20,
    }
    render_mode: str | None = "rgb_array"
    meta_spec: MetaEnvSpec
    task_distribution: TaskDistribution
    single_observation_space: gymnasium.spaces.Box
    single_action_space: Any
    """A `Box`, or a `Discrete` space where `meta_spec.discrete_actions`."""
    _trusted = False
    """Whether `step` may take what the methods return as it is: new tensors as promised, finite. Never in a class that
    its own tests do not check for this."""

    def __init__(self, num_envs: int, seed: int = 0, horizon: int | None = None) -> None:
        require_positive("num_envs", num_envs, of=self)
        self._check_parts()
        if horizon is not None:
            require_positive("horizon", horizon, of=self)
            self.meta_spec = replace(self.meta_spec, horizon=horizon)
        self.num_envs = num_envs
        self.action_units = ActionUnits(self.single_action_space, type(self).__name__)
        self.action_low, self.action_high = self.action_units.low, self.action_units.high
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.generator = make_generator(seed, 0, "world")
        self.tasks = self.task_distribution.sample(num_envs, self.generator)
        self._check_spec()
        self.diverged = 0
        self._num_tasks = num_envs  # sub-environments from this one on have no task and stay idle
        self._elapsed = np.zeros(num_envs, np.int64)
        self._running: NDArray[np.bool_] = np.zeros(num_envs, np.bool_)
        self._all_env_ids = np.arange(num_envs)
        self._all_rows = torch.from_numpy(self._all_env_ids)
        self._batch_shape = (num_envs,)
        self._observation_shape = (num_envs, self.meta_spec.observation_dim)
        self._given_actions = GivenActions(self.action_units, self.meta_spec.name, num_envs)

    def _check_parts(self) -> None:
        """Refuse a class that lacks a part every environment has, or has something else in its place."""
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
        """Refuse a `MetaEnvSpec` whose sizes differ from those of the spaces and of the first tasks."""
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
        """Whether transitions accomplish the task, shaped as `reward`; None where success is not defined."""
        return None

    def evaluation_tasks(self, purpose: EvaluationPurpose) -> TaskDistribution:
        """What validation or test samples its tasks from: the reference distribution, unless tasks are held out."""
        return self.task_distribution

    @property
    def versions(self) -> dict[str, str]:
        """Versions that change what is measured, by name; a run records them."""
        return {}

    @property
    def hint_against_relabeling(self) -> str:
        """What to do where relabeling is refused because tasks change more than the reward."""
        return "Use datamodules.relabeling.NoRelabeler (configs/relabel/none.yaml) with this environment."

    @abstractmethod
    def _start(self, env_ids: Tensor) -> None:
        """Put the sub-environments `env_ids` (indices) into a fresh initial state."""

    @abstractmethod
    def _simulate(self, actions: Tensor, env_ids: Tensor) -> Tensor:
        """Simulate one step of the sub-environments `env_ids` (indices).

        Args:
            actions: within the bounds, `[len(env_ids), action_dim]`.
            env_ids: those whose episodes are running.

        Returns:
            The features of their transitions, `[len(env_ids), feature_dim]`.
        """

    @abstractmethod
    def _observe(self) -> Tensor:
        """The current observation of every sub-environment, `[num_envs, observation_dim]`."""

    @abstractmethod
    def _simulation_state(self) -> dict[str, Tensor]:
        """Tensors that hold the exact state of the simulation; `_load_simulation_state` restores it from them."""

    @abstractmethod
    def _load_simulation_state(self, state: dict[str, Tensor]) -> None:
        """Restore what `_simulation_state` returned."""

    @property
    def running(self) -> Tensor:
        """Which sub-environments are in the middle of an episode, `[num_envs]`."""
        return torch.from_numpy(self._running.copy())

    def has_tasks(self, tasks: Tensor) -> Tensor:
        """Which of `tasks` `[tasks, task_dim]` are tasks of this environment, held out or not, `[tasks]`."""
        held_out = [self.evaluation_tasks(purpose).contains(tasks) for purpose in get_args(EvaluationPurpose)]
        return torch.stack([self.task_distribution.contains(tasks), *held_out]).any(0)

    def set_tasks(self, tasks: Tensor) -> None:
        """Give the sub-environments their tasks; reset them before the next step.

        An episode that goes on without a reset is rewarded under the new task, but simulated under the old one.

        Args:
            tasks: `[n, task_dim]`, one for each of the first `n` sub-environments. The others stay idle: a reset does
                not start an episode in them.

        Raises:
            ValueError: if the shape is not that, or a task is not one of this environment.
        """
        tasks = torch.as_tensor(tasks, dtype=torch.float32)
        name, expected = self.meta_spec.name, (self.num_envs, self.meta_spec.task_dim)
        if tasks.ndim != 2 or not len(tasks) or tasks.shape[1] != self.meta_spec.task_dim:
            raise ValueError(f"{name}: tasks have shape {tuple(tasks.shape)}, expected {expected}.")
        if len(tasks) > self.num_envs:
            raise ValueError(f"{name}: {len(tasks)} tasks do not fit into {self.num_envs} sub-environments.")
        outside = ~self.has_tasks(tasks)
        if bool(outside.any()):
            env_id = int(outside.nonzero()[0, 0])
            objection = self.task_distribution.objection(tasks[env_id])
            raise ValueError(f"{name}, sub-environment {env_id}: task {tasks[env_id].tolist()}: {objection}.")
        self._num_tasks = len(tasks)
        self.tasks = torch.cat((tasks, tasks[-1:].expand(self.num_envs - len(tasks), -1)))

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """Start new episodes.

        Args:
            seed: new seed of the environment's random generator; None lets it go on.
            options: `reset_mask` `[num_envs]`: which sub-environments to reset, all by default; the others go on, with
                their tasks. `tasks` `[n, task_dim]`: new tasks, as for `set_tasks`; beside a mask, one for every
                sub-environment.

        Returns:
            The observations of all sub-environments, `[num_envs, observation_dim]`, and an empty info.

        Raises:
            ValueError: if there are several seeds, an option is unknown or its value has another shape, or a task is
                not one of this environment; nothing has changed then.
            NonFiniteError: if an observation is not finite.
        """
        name, options = self.meta_spec.name, options or {}
        unknown = options.keys() - {"reset_mask", "tasks"}
        if unknown:
            raise ValueError(f"{name}: unknown reset options {sorted(unknown)}; there are reset_mask and tasks.")
        if isinstance(seed, list):
            raise ValueError(f"{name}: the sub-environments share one generator; give one seed, not a list.")
        tasks = options.get("tasks")
        env_ids = self._env_ids_to_reset(options.get("reset_mask"), tasks)
        rows = torch.from_numpy(env_ids)
        if tasks is not None:
            before = self.tasks
            self.set_tasks(tasks)
            self.tasks = before.index_copy(0, rows, self.tasks[rows])
        if seed is not None:
            self.generator = make_generator(seed, 0, "world")
        if env_ids.size:
            self._start(rows)
        self._elapsed[env_ids] = 0
        self._running[env_ids] = env_ids < self._num_tasks
        observation = self._current_observation()
        self._check_finite(env_ids, {"_observe": observation}, "after a reset")
        return observation, {}

    def _env_ids_to_reset(self, reset_mask: Any, tasks: Any) -> EnvIds:
        """The sub-environments of the mask, all without one.

        Raises:
            ValueError: if it has another shape, or there are fewer tasks beside it.
        """
        if reset_mask is None:
            return self._all_env_ids
        name, mask = self.meta_spec.name, np.asarray(reset_mask, np.bool_)
        if mask.shape != (self.num_envs,):
            raise ValueError(f"{name}: reset_mask has shape {mask.shape}, expected {(self.num_envs,)}.")
        if tasks is not None and np.shape(tasks)[:1] != mask.shape:
            shape, expected = tuple(np.shape(tasks)), (self.num_envs, self.meta_spec.task_dim)
            raise ValueError(f"{name}: beside a reset_mask, tasks have shape {shape}, expected {expected}.")
        return np.flatnonzero(mask)

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Any]]:
        """One step of every sub-environment whose episode is running.

        The others ignore their actions: their observation stays, their rewards and features are 0, and they neither
        terminate nor are they truncated.

        Args:
            actions: `[num_envs, action_dim]` in the environment's own units: within its bounds (clipped otherwise,
                with one warning), or one-hot where actions are discrete (the largest entry counts). Choices
                `[num_envs]`, whole numbers counted from the space's `start`, are accepted too. An agent's actions,
                in [-1, 1], are different: `action_units` converts them, and `datamodules.collection.RunningTrial`
                acts in these units.

        Returns:
            Gymnasium's five values. Observations after the step, `[num_envs, observation_dim]`; rewards, which of
            the episodes terminated and which reached the horizon, `[num_envs]` each; and `info`, with `features`
            `[num_envs, feature_dim]`, `sparse_reward` `[num_envs]` (see `Reward`) and, where success is defined,
            `success` `[num_envs]`.

        Raises:
            RuntimeError: if no episode is running.
            ValueError: if the shape of the actions is wrong.
            ContractError: if a method of the subclass returns another type or shape than it promises.
            NonFiniteError: if an action, or what a method of the subclass returned, is not finite.
        """
        spec, running = self.meta_spec, self._running
        everyone = np.count_nonzero(running) == self.num_envs
        env_ids = self._all_env_ids if everyone else np.flatnonzero(running)
        rows = self._all_rows if everyone else torch.from_numpy(env_ids)
        bounded = torch.from_numpy(self._given_actions.within_bounds(actions, env_ids))
        features = self._simulate(bounded, rows)
        if not self._trusted:
            features = returned(features, self, "_simulate", (len(env_ids), spec.feature_dim))
        if not everyone:
            features = features.new_zeros(self.num_envs, spec.feature_dim).index_copy_(0, rows, features)
        reward, sparse_reward, terminated = self._rewards(features, self.tasks, self._batch_shape)
        observation = self._current_observation()
        if not self._trusted:
            rewards = {"reward": reward, "reward (sparse)": sparse_reward}
            self._check_finite(env_ids, {"_simulate": features, **rewards, "_observe": observation}, "after a step")
        info: dict[str, Any] = {"features": features, "sparse_reward": sparse_reward}
        success = self.success(features, self.tasks)
        if success is not None:
            checked = success if self._trusted else returned(success, self, "success", self._batch_shape, torch.bool)
            info["success"] = checked
        if not everyone:
            for of_all in (reward, terminated, *info.values()):
                of_all[~torch.from_numpy(running)] = 0
        self._elapsed += running
        ended, truncated = terminated.numpy(), self._elapsed >= spec.horizon
        if np.count_nonzero(truncated) or np.count_nonzero(ended):
            truncated &= running & ~ended
            self._running = running & ~(ended | truncated)
        return observation, reward, terminated, torch.from_numpy(truncated), info

    def _current_observation(self) -> Tensor:
        """The observation of every sub-environment, in a tensor of its own, `[num_envs, observation_dim]`."""
        observation = self._observe()
        return observation if self._trusted else returned(observation, self, "_observe", self._observation_shape)

    def compute_rewards(self, features: Tensor, tasks: Tensor) -> Reward:
        """The checked result of `reward`: new tensors of the broadcast batch shape.

        `reward` is given rows, with one batch dimension, so that one that was only tried in `step` is right here too.

        Args:
            features: `[..., feature_dim]`.
            tasks: `[..., task_dim]`.

        Raises:
            ContractError: if `reward` returns another type or shape.
        """
        shape = batch_shape(features, tasks)
        feature_rows, task_rows = (
            values.expand(*shape, -1).reshape(-1, values.shape[-1]) for values in (features, tasks)
        )
        rewards = self._rewards(feature_rows, task_rows, (shape.numel(),))
        return Reward(*(values.reshape(shape) for values in rewards))

    def _rewards(self, features: Tensor, tasks: Tensor, shape: tuple[int, ...]) -> Reward:
        given = self.reward(features, tasks)
        if self._trusted:
            reward, sparse_reward, terminated = given
            return Reward(reward, reward.clone(), terminated) if sparse_reward is reward else given
        if not isinstance(given, tuple) or len(given) != 3:
            expected = "a Reward(reward, sparse_reward, terminated)"
            raise ContractError(f"{type(self).__name__}.reward", described(given), expected)
        reward, sparse_reward, terminated = given
        device = features.device
        return Reward(
            returned(reward, self, "reward, as `reward`,", shape, torch.float32, device),
            returned(sparse_reward, self, "reward, as `sparse_reward`,", shape, torch.float32, device),
            returned(terminated, self, "reward, as `terminated`,", shape, torch.bool, device),
        )

    def _check_finite(self, env_ids: EnvIds, reported: dict[str, Tensor], when: str) -> None:
        """Refuse `reported` values, by method, that are not finite in one of the sub-environments `env_ids`."""
        for method, values in reported.items():
            numbers = values.numpy()
            if math.isfinite(np.vdot(numbers, numbers)):
                continue  # the usual case; the slower look decides about numbers whose squares are too large
            rows = ~np.isfinite(numbers[env_ids]).reshape(len(env_ids), numbers[0].size).all(-1)
            if rows.any():
                env_id = int(env_ids[rows.argmax()])
                raise NonFiniteError(
                    f"{type(self).__name__}.{method} gives {values[env_id].tolist()} {when} in sub-environment "
                    f"{env_id}, whose task is {self.tasks[env_id].tolist()}, expected finite numbers."
                )

    @property
    def has_pictures(self) -> bool:
        """Whether `render_frame` is there for it."""
        return type(self).render_frame is not MetaEnv.render_frame

    def render_frame(self, env_id: int) -> NDArray[np.uint8]:
        """A picture of the current state of a sub-environment, `[height, width, 3]`."""
        raise NotImplementedError(f"{self.meta_spec.name} has no picture.")

    def render(self) -> tuple[Array, ...] | None:
        """A picture of every sub-environment, `[height, width, 3]` each; None where `render_mode` is None."""
        if self.render_mode is None:
            return None
        return tuple(self.render_frame(env_id) for env_id in range(self.num_envs))

    def state_dict(self) -> dict[str, Tensor]:
        """The exact state: tasks, episode clocks, simulation and random generator."""
        return {
            "tasks": self.tasks.clone(),
            "num_tasks": torch.tensor(self._num_tasks),
            "elapsed": torch.from_numpy(self._elapsed.copy()),
            "running": self.running,
            "diverged": torch.tensor(self.diverged),
            "generator": self.generator.get_state(),
            **{f"simulation/{key}": torch.as_tensor(value).clone() for key, value in self._simulation_state().items()},
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ValueError: if it is the state of another number of sub-environments.
        """
        name, num_envs = self.meta_spec.name, len(state["elapsed"])
        if num_envs != self.num_envs:
            raise ValueError(f"{name}: a state of {num_envs} sub-environments does not fit {self.num_envs}.")
        self.tasks, self._num_tasks = state["tasks"].clone(), int(state["num_tasks"])
        self._elapsed = state["elapsed"].numpy().copy()
        self._running = state["running"].numpy().copy()
        self.diverged = int(state["diverged"])
        self.generator.set_state(state["generator"])
        prefix = "simulation/"
        self._load_simulation_state(
            {key.removeprefix(prefix): value.clone() for key, value in state.items() if key.startswith(prefix)}
        )


def batch_shape(features: Tensor, tasks: Tensor) -> torch.Size:
    """The shape of rewards of `features` `[..., feature_dim]` under `tasks` `[..., task_dim]`."""
    of_features, of_tasks = features.shape[:-1], tasks.shape[:-1]
    shape: torch.Size = of_features
    return shape if of_features == of_tasks else torch.broadcast_shapes(of_features, of_tasks)


def spread(values: Tensor, shape: torch.Size) -> Tensor:
    """`values` broadcast to `shape`: themselves where they have it, which takes less time than to expand them."""
    return values if values.shape == shape else values.expand(shape)


def never(like: Tensor) -> Tensor:
    """No episode terminates: False everywhere, shaped as `like`."""
    return torch.zeros_like(like, dtype=torch.bool)


def box(low: float, high: float, size: int) -> gymnasium.spaces.Box:
    """A float32 box space of `size` coordinates with common bounds."""
    return gymnasium.spaces.Box(low, high, (size,), np.float32)
