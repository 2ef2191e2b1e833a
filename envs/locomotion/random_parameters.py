"""Planar walkers whose tasks randomize many parameters of the model at once (PEARL)."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from envs.base import Reward, batch_shape, box, spread
from envs.locomotion.model_changes import set_masses
from envs.locomotion.mujoco_env import Column, Features, Move, MujocoEnv, columns, joined, load_model, sums_of_squares
from envs.meta_env_spec import MetaEnvSpec, TaskChanges
from envs.physics import BatchedPhysics
from envs.task_distributions import TaskDistribution, UniformBox

if TYPE_CHECKING:
    import mujoco

SUBSTEPS = 4
TIMESTEP = 0.004  # s; Gymnasium's models have 0.002
CONTROL_COST = 0.001
ALIVE_BONUS = 1.0
LARGEST_EXPONENT = 3.0
FACTOR_BASES = {"body_mass": 1.5, "body_inertia": 1.5, "dof_damping": 1.3, "geom_friction": 1.5}


@lru_cache
def slow_model(file: str) -> mujoco.MjModel:
    """Gymnasium's model with PEARL's time step; shared, as `load_model`'s."""
    model = copy.copy(load_model(file))
    model.opt.timestep = TIMESTEP
    return model


def _spec(
    name: str, observation_dim: int, action_dim: int, bodies: int, joints: int, feature_names: tuple[str, ...]
) -> MetaEnvSpec:
    """The spec of a robot with so many `bodies` in its model, the ground included, and a geom for each."""
    sizes = {"body_mass": bodies, "body_inertia": 3 * bodies, "dof_damping": joints, "geom_friction": 3 * bodies}
    return MetaEnvSpec(
        name=name,
        observation_dim=observation_dim,
        action_dim=action_dim,
        task_names=tuple(f"{field}_{index}" for field in FACTOR_BASES for index in range(sizes[field])),
        feature_names=(*feature_names, "diverged"),
        horizon=200,
        task_changes=TaskChanges.DYNAMICS,
    )


def _exponents(meta_spec: MetaEnvSpec) -> UniformBox:
    return UniformBox([-LARGEST_EXPONENT] * meta_spec.task_dim, [LARGEST_EXPONENT] * meta_spec.task_dim)


class RandomParameters(MujocoEnv):
    """A planar robot that runs forward; every mass, inertia, damping and friction has its own factor.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        model: the robot's model.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    position_noise = 0.005
    velocity_noise = 0.005
    normal_velocity_noise = False

    def __init__(
        self, num_envs: int, seed: int, model: mujoco.MjModel, threads: int | None, horizon: int | None
    ) -> None:
        super().__init__(num_envs, seed, BatchedPhysics(model, SUBSTEPS, threads), horizon)

    def _shape_model(self, model: mujoco.MjModel, original: mujoco.MjModel, task: Column) -> None:
        start = 0
        for field, base in FACTOR_BASES.items():
            published = getattr(original, field)
            factors = base ** task[start : start + published.size].reshape(published.shape)
            start += published.size
            if field == "body_mass":
                set_masses(model, factors * published)
            else:
                getattr(model, field)[:] = factors * published

    def _features(self, move: Move) -> Features:
        x, height, angle = self._physics.positions(move.after)[:, :3].T
        velocity = (x - self._physics.positions(move.before)[:, 0]) / self._physics.dt
        control_cost = CONTROL_COST * sums_of_squares(move.controls)
        return columns(velocity, control_cost, height, angle, *self._more_columns(move))

    def _more_columns(self, move: Move) -> list[Column]:
        """Features that an environment adds, `[n]` each."""
        return []

    def _observe(self) -> Tensor:
        return joined(
            self._physics.positions(self._state)[:, 1:],
            self._physics.velocities(self._state).clip(-10.0, 10.0),
        )

    def _fallen(self, features: Tensor) -> Tensor:
        """Whether the episode ends in a transition with `features` `[..., feature_dim]`."""
        raise NotImplementedError

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        velocity, control_cost = features[..., 0], features[..., 1]
        shape = batch_shape(features, tasks)
        reward = spread(velocity + ALIVE_BONUS - control_cost, shape)
        return Reward(reward, reward, spread(self._fallen(features), shape))


class WalkerRandParams(RandomParameters):
    """Run forward on two legs with unknown masses, inertias, damping and friction (PEARL, Rakelly et al. 2019).

    | | meaning | range |
    |---|---|---|
    | observation | 8 positions without x (m, rad), 9 velocities clipped to ±10 (m/s, rad/s) | unbounded |
    | action | 6 joint torques, in units of the motors' range | [-1, 1] |
    | task | 65 exponents, one for each number of body_mass, body_inertia, dof_damping, | uniform in [-3, 3] |
    | | geom_friction | |
    | features | forward velocity (m/s), control cost, torso height (m), torso angle (rad), whether it diverged | |

    Reward: v + 1 − 0.001‖a‖². Start: the standing pose, positions and velocities uniform within ±0.005.
    End: when the torso's height leaves (0.8, 2) m or its angle (−1, 1) rad; after 200 steps of 0.016 s.
    A number of the model is multiplied by 1.5 (damping: 1.3) to the power of its exponent. The model is
    Gymnasium's Walker2d with the feet's friction of Walker2d-v4 and time steps of 0.004 s.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    single_observation_space = box(-np.inf, np.inf, 17)
    single_action_space = box(-1.0, 1.0, 6)
    meta_spec = _spec("WalkerRandParams", 17, 6, 8, 9, ("velocity", "control_cost", "height", "angle"))
    task_distribution: TaskDistribution = _exponents(meta_spec)

    def __init__(self, num_envs: int, seed: int = 0, threads: int | None = None, horizon: int | None = None) -> None:
        super().__init__(num_envs, seed, slow_model("walker2d.xml"), threads, horizon)

    def _fallen(self, features: Tensor) -> Tensor:
        _, _, height, angle, diverged = features.unbind(-1)
        return (height <= 0.8) | (height >= 2.0) | (angle.abs() >= 1.0) | diverged.bool()


class HopperRandParams(RandomParameters):
    """Hop forward with unknown masses, inertias, damping and friction (PEARL, Rakelly et al. 2019).

    | | meaning | range |
    |---|---|---|
    | observation | 5 positions without x (m, rad), 6 velocities clipped to ±10 (m/s, rad/s) | unbounded |
    | action | 3 joint torques, in units of the motors' range | [-1, 1] |
    | task | 41 exponents, one for each number of body_mass, body_inertia, dof_damping, | uniform in [-3, 3] |
    | | geom_friction | |
    | features | forward velocity (m/s), control cost, torso height (m), torso angle (rad), | |
    | | largest of the other state coordinates, whether it diverged | |

    Reward: v + 1 − 0.001‖a‖². Start: the standing pose, positions and velocities uniform within ±0.005.
    End: when the torso's height falls to 0.7 m, its angle leaves (−0.2, 0.2) rad, or a joint position or
    a velocity reaches 100; after 200 steps of 0.016 s. The task changes Gymnasium's Hopper, with time
    steps of 0.004 s, as that of WalkerRandParams.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    single_observation_space = box(-np.inf, np.inf, 11)
    single_action_space = box(-1.0, 1.0, 3)
    meta_spec = _spec(
        "HopperRandParams", 11, 3, 5, 6, ("velocity", "control_cost", "height", "angle", "largest_coordinate")
    )
    task_distribution: TaskDistribution = _exponents(meta_spec)

    def __init__(self, num_envs: int, seed: int = 0, threads: int | None = None, horizon: int | None = None) -> None:
        super().__init__(num_envs, seed, slow_model("hopper.xml"), threads, horizon)

    def _more_columns(self, move: Move) -> list[Column]:
        positions, velocities = self._physics.positions(move.after), self._physics.velocities(move.after)
        return [np.maximum(np.abs(positions[:, 2:]).max(-1), np.abs(velocities).max(-1))]

    def _fallen(self, features: Tensor) -> Tensor:
        _, _, height, angle, largest, diverged = features.unbind(-1)
        return (height <= 0.7) | (angle.abs() >= 0.2) | (largest >= 100.0) | diverged.bool()
