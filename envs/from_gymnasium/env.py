"""An environment of this project from any Gymnasium environment."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from numpy.typing import NDArray
from torch import Tensor

from envs.base import MetaEnv, Reward, batch_shape, spread
from envs.cores import usable_cores
from envs.errors import ConfigurationError, arguments_of, require, require_instance, require_positive
from envs.from_gymnasium.factory import Env, EnvFactory, imported
from envs.from_gymnasium.processes import Processes
from envs.from_gymnasium.rehearsal import STEPS, random_actions, refuse_disagreement, refuse_infinite, rehearse
from envs.from_gymnasium.spaces import FlatActions, FlatObservations
from envs.from_gymnasium.states import layers
from envs.from_gymnasium.sub_environment import Plan, Step, has_pictures
from envs.from_gymnasium.task_setters import task_setter
from envs.meta_env_spec import MetaEnvSpec, TaskChanges
from envs.randomness import make_generator
from envs.task_distributions import TaskDistribution

LONG_STEP_S = 2e-3
"""Duration of a step of all sub-environments, s, from which on other processes gain more than talking to them takes."""
RECORDED = ("recorded_reward", "recorded_terminated")
"""The features that every environment has, before those of the user."""


class FromGymnasium(MetaEnv):
    """Any Gymnasium environment, with a task.

    A task is set in one of four ways, each time before the environment is reset: by a method, by attributes, by options
    of `reset`, or by arguments of the constructor (then an environment is made anew for every task).

    Observations become vectors: a `Box` of any shape is flattened, bytes are divided by 255, `Dict`, `Tuple` and
    choices are flattened as by Gymnasium's `FlattenObservation`. The agent must not see the task in them. Actions are a
    bounded `Box` of any shape, or `Discrete`. Every reset is seeded from this environment's own generator.

    Rewards are recorded. For relabeling, which needs the reward of a transition under any task, give a `reward`
    function, and `features` that it can be computed from. Tasks must then change nothing but the reward. What they
    compute is compared with what the environment gave.

    An episode ends where the environment terminates or truncates it, and at the horizon. In the middle of an episode,
    the exact state can be saved of an environment that consists of plain numbers, of Gymnasium's MuJoCo environments,
    and of one with methods `state_dict` and `load_state_dict`.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        env: a Gymnasium id (`Pendulum-v1`, `package:Name-v0`); or the import path of a subclass of `gymnasium.Env`, or
            of a function that is annotated to return one; from Python, also such a class or function.
        task_distribution: what tasks are sampled from.
        env_args: arguments of the environment's constructor.
        task_method: a method of the environment that is called with the task's numbers.
        task_attributes: attributes that a task sets, such as `unwrapped.g` or `unwrapped.model.body_mass[1]`.
        task_options: options of `reset` that a task sets.
        task_arguments: arguments of the constructor that a task sets.
        task_names: names of a task's coordinates; None for those of the attributes, options or arguments.
        reward: for relabeling: `reward(features, tasks)` on tensors `[..., features]` and `[..., task_dim]`, which
            gives the rewards `[...]`, or a `Reward` where tasks also decide what terminates. A function or its path.
        features: for relabeling: `features(step)`, numbers from which `reward` follows, given a `Step`. A function or
            its import path.
        feature_names: names of those numbers.
        horizon: steps of an episode; None for Gymnasium's time limit.
        processes: that simulate, this one included; None takes one per core if the environment's steps take long enough
            for that to be faster.

    Raises:
        ConfigurationError: if an argument does not fit, or the environment's first steps show that something is wrong.
    """

    def __init__(
        self,
        num_envs: int,
        seed: int = 0,
        *,
        env: str | Callable[..., gymnasium.Env[Any, Any]],
        task_distribution: TaskDistribution,
        env_args: dict[str, Any] | None = None,
        task_method: str | None = None,
        task_attributes: list[str] | None = None,
        task_options: list[str] | None = None,
        task_arguments: list[str] | None = None,
        task_names: list[str] | None = None,
        reward: str | Callable[[Tensor, Tensor], Any] | None = None,
        features: str | Callable[[Step], Sequence[float]] | None = None,
        feature_names: list[str] | None = None,
        horizon: int | None = None,
        processes: int | None = None,
    ) -> None:
        with arguments_of(self):
            require_instance("task_distribution", task_distribution, TaskDistribution)
            if processes is not None:
                require_positive("processes", processes)
            require(
                (reward is None) == (features is None) == (not feature_names),
                "reward",
                reward,
                "reward, features and feature_names belong together",
                "Give all three for relabeling, or none.",
            )
            self._reward: Any = imported(reward, "reward") if isinstance(reward, str) else reward
            self._trusted = reward is None and type(self) is FromGymnasium  # its processes' answers are checked
            own_features: Any = imported(features, "features") if isinstance(features, str) else features
            factory = EnvFactory(env, env_args or {})
            setter = task_setter(task_method, task_attributes, task_options, task_arguments)
            self.task_distribution = task_distribution
            (task,) = task_distribution.sample(1, make_generator(0, 0, "first task")).tolist()
            first = factory(**setter.arguments(task))
            _refuse_running_statistics(first, factory.name)
            self._plan = Plan(
                factory,
                setter,
                FlatObservations(first.observation_space, factory.name),
                FlatActions(first.action_space, factory.name),
                own_features,
                tuple(feature_names or ()),
            )
            known = setter.names(first)  # refuses a task that cannot be set
            names = task_names or known
            self._has_pictures = has_pictures(first)
            first.close()
            require(
                len(names) == len(task),
                "task_names",
                names,
                f"a task of the distribution has {len(task)} numbers",
                "Name each of them, in their order.",
            )
            self.single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (self._plan.observations.dim,))
            self.single_action_space = self._plan.actions.single_action_space
            self.meta_spec = MetaEnvSpec(
                name=factory.name,
                observation_dim=self._plan.observations.dim,
                action_dim=self._plan.actions.dim,
                task_names=tuple(names),
                feature_names=RECORDED + self._plan.feature_names,
                horizon=_known(factory.horizon if horizon is None else horizon, factory.name),
                task_changes=TaskChanges.BOTH if reward is None else TaskChanges.REWARD,
                discrete_actions=self._plan.actions.discrete,
            )
            super().__init__(num_envs, seed)
            self._observations = torch.zeros(num_envs, self.meta_spec.observation_dim)
            tasks = task_distribution.sample(2, make_generator(0, 0, "rehearsal"))
            actions = random_actions(self.action_low, self.action_high, STEPS)
            duration_s = rehearse(self._plan, actions, tasks, None if reward is None else self.compute_rewards)
            if processes is None:
                processes = usable_cores() if num_envs * duration_s > LONG_STEP_S else 1
            self._processes = min(processes, num_envs)

    @cached_property
    def _simulation(self) -> Processes:
        return Processes(self._plan, self.num_envs, self._processes)

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        recorded, terminated, *_ = features.unbind(-1)
        if recorded.shape != tasks.shape[:-1]:
            shape = batch_shape(features, tasks)
            recorded, terminated = spread(recorded, shape), spread(terminated, shape)
        if self._reward is None:
            reward = recorded.clone()  # not a part of the features
            return Reward(reward, reward, terminated.bool())
        given = self._reward(features[..., len(RECORDED) :], tasks)
        return given if isinstance(given, Reward) else Reward(given, given, terminated.bool())

    def _start(self, env_ids: Tensor) -> None:
        seeds = torch.randint(2**31, (len(env_ids),), generator=self.generator).tolist()
        tasks = self.tasks.tolist()
        begun = {
            env_id: (tasks[env_id], seed)
            for env_id, seed in zip(env_ids.tolist(), seeds)
            if env_id < self._num_tasks  # the others stay idle
        }
        observations = self._simulation.ask("start", begun)
        self._observations = self._observations.clone()
        for env_id, observation in observations.items():
            self._observations[env_id] = torch.from_numpy(np.array(observation, np.float32))

    def _simulate(self, actions: Tensor, env_ids: Tensor) -> Tensor:
        numbers, size = env_ids.numpy(), self.meta_spec.observation_dim
        rows = self._simulation.step(self._plan.actions.encode(actions), numbers).astype(np.float32)
        if not math.isfinite(np.vdot(rows, rows)):  # cheaper than to look at every number
            refuse_infinite(self.meta_spec.name, rows, self._plan, self.tasks[env_ids].tolist())
        truncated = rows[:, size]
        if np.count_nonzero(truncated):
            self._elapsed[numbers[truncated > 0]] = self.meta_spec.horizon - 1  # this step truncates the episode
        seen, features = torch.from_numpy(rows[:, :size]), torch.from_numpy(rows[:, size + 1 :])
        everyone = len(numbers) == self.num_envs
        self._observations = seen if everyone else self._observations.index_copy(0, env_ids, seen)
        if self._reward is not None:
            refuse_disagreement(self.meta_spec.name, self.compute_rewards, features, self.tasks[env_ids])
        return features

    def _observe(self) -> Tensor:
        return self._observations.clone()

    @property
    def hint_against_relabeling(self) -> str:
        return (
            "They count as changing both, because it is given no reward function: if they change the reward alone, "
            "give reward, features and feature_names (docs/your_environment.md). Else use "
            "datamodules.relabeling.NoRelabeler (configs/relabel/none.yaml)."
        )

    def close_extras(self, **settings: Any) -> None:
        """Close the user's environments, and end the processes that simulate them."""
        if "_simulation" in vars(self):
            self._simulation.close()

    @property
    def has_pictures(self) -> bool:
        return self._has_pictures

    def render_frame(self, env_id: int) -> NDArray[np.uint8]:
        picture: NDArray[np.uint8] = self._simulation.ask("frame", {env_id: ()})[env_id]
        return picture

    def _simulation_state(self) -> dict[str, Tensor]:
        running = np.flatnonzero(self._running).tolist()
        saved = self._simulation.ask("save", dict.fromkeys(running, ())) if running else {}
        lengths = torch.zeros(self.num_envs, dtype=torch.long)
        for env_id, state in saved.items():
            lengths[env_id] = len(state or b"")
        states = torch.zeros(self.num_envs, int(lengths.max()), dtype=torch.uint8)
        for env_id, state in saved.items():
            states[env_id, : lengths[env_id]] = torch.frombuffer(bytearray(state or b" "), dtype=torch.uint8)[
                : lengths[env_id]
            ]
        return {"observations": self._observations, "states": states, "lengths": lengths}

    def _load_simulation_state(self, state: dict[str, Tensor]) -> None:
        self._observations = state["observations"]
        lengths, running = state["lengths"].tolist(), np.flatnonzero(self._running).tolist()
        saved = {
            env_id: (self.tasks[env_id].tolist(), state["states"][env_id, : lengths[env_id]].numpy().tobytes())
            for env_id in running
            if lengths[env_id]
        }
        self._simulation.ask("restore", saved)
        lost = [env_id for env_id in running if env_id not in saved]
        if lost:
            self._running[lost] = False
            warnings.warn(
                f"{self.meta_spec.name} cannot hand out its state, so the {len(lost)} episodes that were running when "
                "it was saved are not resumed: the run goes on with the next trial. Methods state_dict() and "
                "load_state_dict(state) of the environment would make it exact.",
                stacklevel=3,
            )


def _refuse_running_statistics(env: Env, name: str) -> None:
    """Refuse Gymnasium's wrappers that scale by what they have seen so far.

    Raises:
        ConfigurationError: naming the wrapper.
    """
    for layer in layers(env):
        require(
            not isinstance(layer, NormalizeObservation | NormalizeReward) or not layer.update_running_mean,
            "env",
            name,
            f"each sub-environment's {type(layer).__name__} would have statistics of its own, and every validation's "
            "new ones",
            "Leave it out (on-policy algorithms here normalize), or scale by fixed numbers (TransformObservation, "
            "TransformReward).",
        )


def _known(horizon: int | None, name: str) -> int:
    """The horizon.

    Raises:
        ConfigurationError: if there is none.
    """
    if horizon is None:
        reason = f"{name} has no time limit of Gymnasium's, so an episode might never end"
        raise ConfigurationError("horizon", None, reason, "Give the number of steps of an episode.")
    require_positive("horizon", horizon)
    return horizon
