"""One environment of the user's, in whichever process it is simulated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.from_gymnasium.factory import Env, EnvFactory
from envs.from_gymnasium.spaces import FlatActions, FlatObservations, Numbers
from envs.from_gymnasium.states import load_state, save_state
from envs.from_gymnasium.task_setters import Task, TaskSetter
from envs.returned import described

OUTCOME = ("truncated", "reward", "terminated")
"""What a row has after the observation, and before the user's features."""
HOW_TO_RENDER = "Write its method render, and give env_args: {render_mode: rgb_array}."


class Step(NamedTuple):
    """One transition, from which a user's function gives the features of its reward.

    Attributes:
        env: the environment after the step, with all its wrappers.
        action: that was taken.
        observation: after the step, as the environment gives it.
        reward: recorded.
        terminated: whether the episode terminated.
        info: of the step.
    """

    env: Any
    action: Any
    observation: Any
    reward: float
    terminated: bool
    info: dict[str, Any]


def has_pictures(env: Env) -> bool:
    """Whether an environment was made to give pictures."""
    return env.render_mode == "rgb_array"


@dataclass(frozen=True)
class Plan:
    """How a sub-environment is made and what it gives.

    Attributes:
        factory: makes the environment.
        setter: sets its task.
        observations: makes vectors of the observations.
        actions: makes actions of vectors.
        features: the user's features of a transition; None without.
        feature_names: of those features.
    """

    factory: EnvFactory
    setter: TaskSetter
    observations: FlatObservations
    actions: FlatActions
    features: Callable[[Step], Sequence[float]] | None
    feature_names: tuple[str, ...]

    @property
    def width(self) -> int:
        """Numbers of a row: observation, outcome and the user's features."""
        return self.observations.dim + len(OUTCOME) + len(self.feature_names)


class SubEnvironment:
    """An environment that is given one task after the other.

    Args:
        plan: how it is made.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._size, self._unchanged = plan.observations.dim, plan.observations.unchanged
        self._arguments: dict[str, float] = {}
        self._env: Env | None = None
        self.task: Task = ()

    @property
    def env(self) -> Env:
        """The environment of the present task.

        Raises:
            RuntimeError: if no episode has been started.
        """
        if self._env is None:
            raise RuntimeError("no episode has been started; reset it first")
        return self._env

    def start(self, task: Task, seed: int) -> Numbers:
        """Begin an episode under `task`; the observation as a vector."""
        setter, self.task = self._plan.setter, task
        arguments = setter.arguments(task)
        if self._env is None or arguments != self._arguments:
            self.close()
            self._env, self._arguments = self._plan.factory(**arguments), arguments
        setter.prepare(self.env, task)
        observation, _ = self.env.reset(seed=seed, options=setter.reset_options(task))
        return self._plan.observations(observation)

    def step(self, action: Any, row: Numbers) -> None:
        """Take an action of the environment's own, and write what it brought into `row` (see `Plan.width`)."""
        env, plan, size = self._env, self._plan, self._size
        assert env is not None
        observation, reward, terminated, truncated, info = env.step(action)
        is_vector = isinstance(observation, np.ndarray) and observation.shape == self._unchanged
        row[:size] = observation if is_vector else plan.observations(observation)
        row[size] = truncated
        row[size + 1] = reward
        row[size + 2] = terminated
        if plan.features is not None:
            features = plan.features(Step(env, action, observation, float(reward), bool(terminated), info))
            if len(features) != len(plan.feature_names):
                raise ValueError(
                    f"features() gives {len(features)} numbers, but feature_names has {len(plan.feature_names)}"
                )
            row[size + len(OUTCOME) :] = features

    def save(self) -> bytes | None:
        """The exact state; None if the environment cannot give it."""
        return save_state(self.env)

    def restore(self, task: Task, state: bytes) -> None:
        """Put it into a state that `save` gave, under the task of then."""
        self.start(task, seed=0)
        load_state(self.env, state)

    def frame(self) -> NDArray[np.uint8]:
        """A picture of the present state, `[height, width, 3]`."""
        if not has_pictures(self.env):
            raise NotImplementedError(f"it has no picture. {HOW_TO_RENDER}")
        picture = np.asarray(self.env.render())
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise NotImplementedError(
                f"render() gives {described(picture)}, not a picture [height, width, 3] of uint8."
            )
        return picture

    def close(self) -> None:
        """Close the environment, if there is one."""
        if self._env is not None:
            self._env.close()
