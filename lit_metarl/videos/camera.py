"""Filming trials while they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.base import MetaEnv
from lit_metarl.videos.captions import achieved_values, values_of, with_caption

Picture = NDArray[np.uint8]
Film = Callable[[Picture], object]
"""Receives the pictures of one task's trial, one after the other."""


class Camera:
    """Takes pictures of whole trials, with task, achieved values, episode, reward and return written under them.

    Args:
        films: by the number of a task in the order in which the environment is given them; the others are not filmed.
        exploration_episodes: how many of a trial's first episodes only gather information.
        pictures_per_episode: most pictures of a full-length episode; the first and the last state are always
            among them.
    """

    def __init__(self, films: Mapping[int, Film], exploration_episodes: int, pictures_per_episode: int = 100) -> None:
        self._films = films
        self._exploration_episodes = exploration_episodes
        self._pictures_per_episode = pictures_per_episode
        self._first_task, self._next_task = 0, 0

    def trials_begin(self, num_envs: int) -> None:
        """The `num_envs` sub-environments have been given their tasks."""
        self._first_task, self._next_task = self._next_task, self._next_task + num_envs
        self._episode = -1

    def episode_begins(self, env: MetaEnv) -> None:
        """All sub-environments have started an episode."""
        self._episode += 1
        self._time = 0
        self._reward, self._return = torch.zeros(env.num_envs), torch.zeros(env.num_envs)
        self._features = self._sums = torch.zeros(env.num_envs, len(env.meta_spec.feature_names))
        for env_id in self._filmed(env):
            self._take(env, env_id)

    def step_was_made(self, env: MetaEnv, reward: Tensor, features: Tensor, acted: Tensor) -> None:
        """The sub-environments that `acted` `[num_envs]` have made a step.

        Args:
            env: of which they are part.
            reward: that they received, `[num_envs]`.
            features: of the step, `[num_envs, features]`.
            acted: which of them were running, `[num_envs]`.
        """
        self._time += 1
        self._features = features
        self._sums = self._sums + features
        self._reward = reward
        self._return = self._return + reward
        every = -(-env.meta_spec.horizon // self._pictures_per_episode)
        ended = acted & ~env.running
        for env_id in self._filmed(env):
            if ended[env_id] or (acted[env_id] and self._time % every == 0):
                self._take(env, env_id)

    def _filmed(self, env: MetaEnv) -> list[int]:
        """The sub-environments whose tasks have a film."""
        return [env_id for env_id in range(env.num_envs) if self._first_task + env_id in self._films]

    def _take(self, env: MetaEnv, env_id: int) -> None:
        spec = env.meta_spec
        means = self._sums[env_id] / max(self._time, 1)
        task = values_of(spec.task_names, env.tasks[env_id])
        achieved = achieved_values(spec.feature_names, self._features[env_id], means)
        if achieved and self._time == 0:  # features are those of a step
            achieved = "–"
        exploring = " (exploration)" if self._episode < self._exploration_episodes else ""
        lines = (
            f"{spec.name}, task: {task}",
            *([f"achieved: {achieved}"] if achieved else []),
            f"episode {self._episode + 1}{exploring}  step {self._time}",
            f"reward {float(self._reward[env_id]):.2f}  return {float(self._return[env_id]):.2f}",
        )
        self._films[self._first_task + env_id](with_caption(env.render_frame(env_id), lines))


class FilmedEnv:
    """An environment that shows every state of its trials to a camera; all else is the environment's own."""

    def __init__(self, env: MetaEnv, camera: Camera) -> None:
        self._env = env
        self._camera = camera

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def set_tasks(self, tasks: Tensor) -> None:
        """As the environment's; tells the camera that new trials begin."""
        self._env.set_tasks(tasks)
        self._camera.trials_begin(self._env.num_envs)

    def reset(self, **settings: Any) -> tuple[Tensor, dict[str, Any]]:
        """As the environment's, with a picture of every sub-environment; only seeding takes none."""
        started = self._env.reset(**settings)
        if settings.get("seed") is None:
            self._camera.episode_begins(self._env)
        return started

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Any]]:
        """As the environment's, with a picture of every sub-environment that acted."""
        acted = self._env.running
        outcome = self._env.step(actions)
        self._camera.step_was_made(self._env, outcome[4]["sparse_reward"], outcome[4]["features"], acted)
        return outcome


def film_in(make_env: Callable[[int, int], MetaEnv], camera: Camera) -> Callable[[int, int], MetaEnv]:
    """`make_env`, but its environments are filmed."""
    return lambda num_envs, seed: cast(MetaEnv, FilmedEnv(make_env(num_envs, seed), camera))
