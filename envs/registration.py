"""Every environment by its Gymnasium id: `gymnasium.make` gives a single one, `gymnasium.make_vec` the batch."""

from __future__ import annotations

import inspect
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from envs.base import Array, MetaEnv
from envs.errors import require


class SingleTaskEnv(gymnasium.Env[Array, Any]):
    """One sub-environment with one task; observations are NumPy arrays.

    Args:
        env_class: the batched environment's class.
        task: the task vector; None samples one from the reference distribution at every reset. A string is passed on
            to an environment with an argument `task` of its own (ML1's scene), and the task vector is sampled.
        render_mode: "rgb_array" if `render` is to return pictures, `[height, width, 3]`.
        **arguments: further arguments of the environment. Without a `seed`, it has a random one, as in Gymnasium.

    Raises:
        ConfigurationError: if `task` is not one of this environment.
    """

    metadata: dict[str, Any] = {
        "render_modes": MetaEnv.metadata["render_modes"],
        "render_fps": MetaEnv.metadata["render_fps"],
    }

    def __init__(
        self,
        env_class: type[MetaEnv],
        task: list[float] | str | None = None,
        render_mode: str | None = None,
        **arguments: Any,
    ) -> None:
        if isinstance(task, str) and "task" in inspect.signature(env_class).parameters:
            arguments["task"], task = task, None
        arguments.setdefault("seed", self.np_random_seed)  # another one in every environment
        self._batch = env_class(num_envs=1, **arguments)
        self._task = None if task is None else self._checked(task)
        self.render_mode = render_mode
        self.observation_space = self._batch.single_observation_space
        self.action_space = self._batch.single_action_space

    @property
    def tasks(self) -> Tensor:
        """The task, `[1, task_dim]`."""
        return self._batch.tasks

    def _checked(self, task: Any) -> Tensor:
        """The given task as a vector, `[task_dim]`."""
        try:
            vector = torch.as_tensor(task, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError):  # not numbers
            vector = torch.empty(0)
        meta_spec = self._batch.meta_spec
        require(
            vector.shape == (meta_spec.task_dim,) and bool(self._batch.has_tasks(vector[None]).all()),
            "task",
            task,
            f"it must be a task of {meta_spec.name}, [{', '.join(meta_spec.task_names)}], within its distribution",
            "Leave it out to sample one at every reset.",
        )
        return vector

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Gymnasium's reset. `options["task"]` `[task_dim]` is the task of this episode, instead of a sampled one.

        Raises:
            ConfigurationError: if `options["task"]` is not one of this environment.
            ValueError: if there are other options.
        """
        super().reset(seed=seed)
        options = options or {}
        unknown = options.keys() - {"task"}
        if unknown:
            raise ValueError(
                f"{self._batch.meta_spec.name}: unknown reset options {sorted(unknown)}; a single environment has task."
            )
        if seed is not None:
            self._batch.reset(seed=seed)
        asked = options.get("task")
        task = self._task if asked is None else self._checked(asked)
        if task is None:
            (task,) = self._batch.task_distribution.sample(1, self._batch.generator)
        observations, _ = self._batch.reset(options={"tasks": task[None]})
        return observations[0].numpy(), {"task": task.numpy().copy()}

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        actions = torch.from_numpy(np.asarray(action)[None])
        observation, reward, terminated, truncated, info = self._batch.step(actions)
        single = {key: value[0].numpy() for key, value in info.items()}
        return observation[0].numpy(), float(reward), bool(terminated), bool(truncated), single

    def render(self) -> Any:
        return self._batch.render_frame(0) if self.render_mode == "rgb_array" else None


def make_batched(num_envs: int, env_class: type[MetaEnv], render_mode: str | None = None, **arguments: Any) -> MetaEnv:
    """What `gymnasium.make_vec` returns: the batched environment itself.

    Its observations, actions and rewards are torch tensors. Tasks are given by `reset(options={"tasks": …})`; without
    them, every sub-environment keeps the task that it was built with. An episode that has ended waits for a reset.

    Args:
        num_envs: number of sub-environments.
        env_class: the environment's class.
        render_mode: "rgb_array" if `render` is to return pictures.
        **arguments: further arguments of the environment, such as its `seed`.

    Raises:
        ConfigurationError: if there is no such render mode.
    """
    modes = MetaEnv.metadata["render_modes"]
    hint = "Use one of them, or leave it out."
    require(render_mode in (None, *modes), "render_mode", render_mode, f"there are {modes}", hint)
    env = env_class(num_envs=num_envs, **arguments)
    env.render_mode = render_mode
    return env


def register_environment(env_class: type[MetaEnv]) -> None:
    """Register `env_class` under the Gymnasium id `lit_metarl/<name>-v0`."""
    gymnasium.register(
        f"lit_metarl/{env_class.meta_spec.name}-v0",
        entry_point="envs.registration:SingleTaskEnv",
        vector_entry_point="envs.registration:make_batched",
        kwargs={"env_class": env_class},
    )
