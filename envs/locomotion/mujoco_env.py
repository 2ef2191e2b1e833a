"""What all MuJoCo environments share: state, starts, divergence, models per sub-environment, pictures."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.base import MetaEnv
from envs.meta_env_spec import MetaEnvSpec, TaskChanges
from envs.physics import BatchedPhysics, Models, State

if TYPE_CHECKING:
    import mujoco

ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
FORCES = 84  # numbers in cfrc_ext of ant and humanoid: 3 torques (N m) and 3 forces (N) of the world and 13 bodies
Column = NDArray[np.float64]
Features = NDArray[np.float32]


@lru_cache
def load_model(file: str) -> mujoco.MjModel:
    """Gymnasium's model of that file name, without automatic reset. It is shared: copy it before changing it."""
    import mujoco  # only for those who simulate

    model = mujoco.MjModel.from_xml_path(str(ASSETS / file))
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET.value
    return model


def robot_spec(
    name: str,
    action_dim: int,
    observation_dim: int,
    task_names: Sequence[str],
    feature_names: Sequence[str],
    task_changes: TaskChanges,
) -> MetaEnvSpec:
    """The sizes and names of a MuJoCo environment of 200 steps; `diverged` is added to the features."""
    return MetaEnvSpec(
        name=name,
        observation_dim=observation_dim,
        action_dim=action_dim,
        task_names=tuple(task_names),
        feature_names=(*feature_names, "diverged"),
        horizon=200,
        task_changes=task_changes,
    )


def fallen(height: Tensor, allowed: tuple[float, float], diverged: Tensor) -> Tensor:
    """Whether the torso's `height` (m) is outside the `allowed` range, or the simulation broke down."""
    return (height.clamp(*allowed) != height).logical_or_(diverged)


def absent_forces(num_envs: int, computed: bool) -> Column:
    """What an observation has in place of contact forces that are not `computed`, `[num_envs, 84]`; else nothing."""
    return np.zeros((num_envs, 0 if computed else FORCES))


class Move(NamedTuple):
    """One step of some sub-environments.

    Attributes:
        before: states before it, `[n, state]`.
        after: states after it, `[n, state]`.
        readings_before: readings before it, `[n, readings]`.
        readings_after: readings after it, `[n, readings]`.
        controls: the actions, `[n, action_dim]`.
    """

    before: State
    after: State
    readings_before: State
    readings_after: State
    controls: Column


def columns(*numbers: Column) -> Features:
    """Features of a move, `[n]` each, with a last one that is 0, `[n, features]`."""
    features = np.zeros((len(numbers[0]), len(numbers) + 1), np.float32)
    for index, column in enumerate(numbers):
        features[:, index] = column
    return features


def joined(*parts: State) -> Tensor:
    """The parts of an observation, `[n, numbers]` each, joined in order, `[n, observation_dim]`."""
    return torch.from_numpy(np.concatenate(parts, -1, dtype=np.float32, casting="same_kind"))


def sums_of_squares(rows: Column) -> Column:
    """‖row‖² of every row of `rows` `[n, numbers]`, `[n]`."""
    sums: Column = np.square(rows).sum(-1)
    return sums


class MujocoEnv(MetaEnv):
    """An environment whose state is a MuJoCo simulation.

    The last feature of every such environment is `diverged`: 1 where the simulation broke down in this
    step, else 0. Such a step ends the episode, and the sub-environment stays in its last finite state.

    An environment whose tasks change the dynamics implements `_shape_model`; each sub-environment then has its own
    model, shaped for its task when its next episode starts.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        physics: the engine.
        horizon: steps of an episode; None for the environment's own.
    """

    position_noise: ClassVar[float]
    """Starts deviate from the model's pose uniformly within ± this, m or rad."""
    velocity_noise: ClassVar[float]
    """Standard deviation (normal) or bound (uniform) of the noise around rest at a start, m/s or rad/s."""
    normal_velocity_noise: ClassVar[bool] = True

    def __init__(self, num_envs: int, seed: int, physics: BatchedPhysics, horizon: int | None = None) -> None:
        super().__init__(num_envs, seed, horizon)
        # Numbers that are not finite end an episode as divergence, and our own methods return nothing but new tensors.
        self._trusted = type(self).__module__.startswith(f"{__package__}.")
        physics.threads = min(physics.threads, num_envs)  # more would only look for work, and keep cores busy
        self._physics = physics
        self._own_models = self.meta_spec.task_changes is not TaskChanges.REWARD
        self._models = Models(physics.model, num_envs)
        self._model_tasks = torch.full_like(self.tasks, torch.nan)
        self._state: State = np.tile(physics.initial_state, (num_envs, 1))
        self._readings: State = np.zeros((num_envs, 0))

    @abstractmethod
    def _features(self, move: Move) -> Features:
        """The features of `move`, `[n, feature_dim]`; the last is left 0."""

    def _shape_model(self, model: mujoco.MjModel, original: mujoco.MjModel, task: Column) -> None:
        """Give `model`, a duplicate of `original`, the body that `task` `[task_dim]` describes."""
        raise NotImplementedError

    def _start(self, env_ids: Tensor) -> None:
        if self._own_models:
            self._shape_models(env_ids)
        physics, number = self._physics, len(env_ids)
        unit = torch.rand(number, physics.model.nq, generator=self.generator, dtype=torch.float64)
        if self.normal_velocity_noise:
            push = torch.randn(number, physics.model.nv, generator=self.generator, dtype=torch.float64)
        else:
            push = 2.0 * torch.rand(number, physics.model.nv, generator=self.generator, dtype=torch.float64) - 1.0
        state = np.tile(physics.initial_state, (number, 1))
        physics.positions(state)[:] += self.position_noise * (2.0 * unit.numpy() - 1.0)
        physics.velocities(state)[:] += self.velocity_noise * push.numpy()
        rows = env_ids.numpy()
        self._state[rows] = state
        readings = physics.read(self._models.addresses[rows], state)
        if self._readings.shape[1] != readings.shape[1]:
            self._readings = np.zeros((self.num_envs, readings.shape[1]))
        self._readings[rows] = readings

    def _shape_models(self, env_ids: Tensor) -> None:
        """Bring the models of the sub-environments `env_ids` (indices) in line with their tasks."""
        changed = (self._model_tasks[env_ids] != self.tasks[env_ids]).any(-1)
        for row in env_ids[changed].tolist():
            self._shape_model(self._models.own(row), self._models.shared, self.tasks[row].double().numpy())
            self._model_tasks[row] = self.tasks[row]

    def _simulate(self, actions: Tensor, env_ids: Tensor) -> Tensor:
        controls, rows = actions.numpy().astype(np.float64), env_ids.numpy()
        before, readings_before, models = self._state, self._readings, self._models.addresses
        everyone = rows.size == self.num_envs
        if not everyone:
            before, readings_before, models = before[rows], readings_before[rows], models[rows]
        after, readings, diverged = self._physics.advance(models, before, controls)
        if diverged.size:
            self.diverged += diverged.size
            after[diverged], readings[diverged] = before[diverged], readings_before[diverged]
        features = self._features(Move(before, after, readings_before, readings, controls))
        if diverged.size:
            features[diverged, -1] = 1.0
        if everyone:
            self._state, self._readings = after, readings
        else:
            self._state[rows], self._readings[rows] = after, readings
        return torch.from_numpy(features)

    def render_frame(self, env_id: int) -> NDArray[np.uint8]:
        from envs.locomotion.pictures import render_state  # opens a GL context: only for those who ask

        return render_state(self._models[env_id], self._physics.positions(self._state)[env_id])

    def _simulation_state(self) -> dict[str, Tensor]:
        return {
            "physics": torch.from_numpy(self._state),
            "readings": torch.from_numpy(self._readings),
            "model_tasks": self._model_tasks,
        }

    def _load_simulation_state(self, state: dict[str, Tensor]) -> None:
        self._state = state["physics"].numpy()
        self._readings = state["readings"].numpy()
        if self._own_models:
            self._restore_models(state["model_tasks"])

    def _restore_models(self, tasks: Tensor) -> None:
        """Shape every model that was in use for its task, `[num_envs, task_dim]`; NaN where none was."""
        current, self.tasks = self.tasks, tasks
        self._shape_models((~tasks.isnan().any(-1)).nonzero()[:, 0])
        self.tasks = current
