"""Humanoid environments whose tasks specify how to walk."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from torch import Tensor

from envs.base import Reward, batch_shape, box, spread
from envs.locomotion.mujoco_env import (
    Column,
    Features,
    Move,
    MujocoEnv,
    absent_forces,
    columns,
    fallen,
    joined,
    load_model,
    robot_spec,
    sums_of_squares,
)
from envs.meta_env_spec import MetaEnvSpec, TaskChanges
from envs.physics import BatchedPhysics, State
from envs.task_distributions import TaskDistribution, UniformBox

SUBSTEPS = 5
CONTROL_COST = 0.1
CONTACT_COST, LARGEST_CONTACT_COST = 5e-7, 10.0
VELOCITY_WEIGHT = 1.25
ALIVE_BONUS = 5.0
HEIGHTS = (1.0, 2.0)  # of the torso, m; outside, the humanoid has fallen or jumped


def humanoid_spec(
    name: str,
    task_names: Sequence[str],
    feature_names: Sequence[str] = ("velocity", "costs", "height"),
    task_changes: TaskChanges = TaskChanges.REWARD,
) -> MetaEnvSpec:
    """The sizes and names of a humanoid environment; `diverged` is added to the features."""
    return robot_spec(name, 17, 376, task_names, feature_names, task_changes)


class Humanoid(MujocoEnv):
    """Gymnasium's Humanoid-v5 with the observation of Humanoid-v2 (376 numbers).

    Of contact forces, what is said of `envs.locomotion.ant.Ant` holds here too: they are 0 in RoML's results.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        contact_forces: whether contact forces are computed; without, they are 0 in cost and observation.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    single_observation_space = box(-np.inf, np.inf, 376)
    single_action_space = box(-0.4, 0.4, 17)
    position_noise = 0.01
    velocity_noise = 0.01
    normal_velocity_noise = False

    def __init__(
        self,
        num_envs: int,
        seed: int = 0,
        contact_forces: bool = False,
        threads: int | None = None,
        horizon: int | None = None,
    ) -> None:
        fields = ["cinert", "cvel", "qfrc_actuator", *(["cfrc_ext"] if contact_forces else []), "xipos"]
        super().__init__(num_envs, seed, BatchedPhysics(load_model("humanoid.xml"), SUBSTEPS, threads, fields), horizon)
        self.contact_forces = contact_forces
        self._absent_forces = absent_forces(num_envs, contact_forces)

    @cached_property
    def _mass_shares(self) -> Column:
        """Each body's share of the whole mass, `[bodies]`; no task changes it."""
        mass = self._physics.model.body_mass
        shares: Column = mass / mass.sum()
        return shares

    def _mass_center(self, readings: State) -> Column:
        """x and y of the center of mass, m, `[n, 2]`."""
        places = readings[:, self._physics.field_slices["xipos"]].reshape(len(readings), -1, 3)
        center: Column = np.einsum("b,cbd->cd", self._mass_shares, places[..., :2])
        return center

    def _features(self, move: Move) -> Features:
        moved = self._mass_center(move.readings_after) - self._mass_center(move.readings_before)
        costs = CONTROL_COST * sums_of_squares(move.controls)
        if self.contact_forces:
            forces = move.readings_after[:, self._physics.field_slices["cfrc_ext"]]
            costs += np.minimum(CONTACT_COST * sums_of_squares(forces), LARGEST_CONTACT_COST)
        height = self._physics.positions(move.after)[:, 2]
        return columns(*self._velocity_columns(moved / self._physics.dt), costs, height)

    def _velocity_columns(self, velocity: Column) -> list[Column]:
        """The features that tell the velocity `[n, 2]` of the center of mass, m/s."""
        return [velocity[:, 0]]

    def _observe(self) -> Tensor:
        observed = slice(0, self._physics.field_slices["xipos"].start)
        return joined(
            self._physics.positions(self._state)[:, 2:],
            self._physics.velocities(self._state),
            self._readings[:, observed],
            self._absent_forces,
        )


class HumanoidVel(Humanoid):
    """Walk at a hidden target velocity (RoML, Greenberg et al. 2023).

    | | meaning | range |
    |---|---|---|
    | observation | 22 positions without x, y, 23 velocities, then MuJoCo's cinert (140), cvel (84), | unbounded |
    | | qfrc_actuator (23) and cfrc_ext, the contact forces (84) | |
    | action | 17 joint torques, in units of the motors' gears | [-0.4, 0.4] |
    | task | target velocity along x, m/s | uniform in [0, 2.5] |
    | features | mass center's velocity along x (m/s), control and contact cost, torso height (m), | |
    | | whether the simulation diverged | |

    Reward: −1.25 |v − v*| − 0.1‖a‖², plus 5 while the torso's height is within [1, 2] m; with
    `contact_forces`, minus min(5·10⁻⁷‖contact forces‖², 10). Start: the standing pose, positions and
    velocities uniform within ±0.01. End: after 200 steps of 0.015 s; a fall does not end it. The dynamics
    are Gymnasium's Humanoid-v5.

    An agent's action in [-1, 1] is scaled to ±0.4, and the cost counts the scaled one: at most 0.27 a step.
    RoML's code applies the action as it is, and MuJoCo clips it to ±0.4. MuJoCo 2.0 clipped it in place,
    before the cost was read; since 2.2.1 the same code counts all of it, up to 1.7 a step. The contact
    forces of a first observation are those of its pose; Gymnasium's environments show zeros there.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        contact_forces: whether contact forces are computed; without, they are 0 in cost and observation.
            RoML's runs used MuJoCo 2.0 through mujoco-py, where all of them read 0.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = humanoid_spec("HumanoidVel", ["velocity"])
    task_distribution: TaskDistribution = UniformBox([0.0], [2.5])

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        velocity, costs, height, diverged = features.unbind(-1)
        alive = ALIVE_BONUS * (~fallen(height, HEIGHTS, diverged)).float()
        reward = -VELOCITY_WEIGHT * (velocity - tasks[..., 0]).abs() - costs + alive
        return Reward(reward, reward, spread(diverged.bool(), reward.shape))


class HumanoidDir(Humanoid):
    """Walk as fast as possible in a hidden direction (PEARL, Rakelly et al. 2019).

    | | meaning | range |
    |---|---|---|
    | observation | 22 positions without x, y, 23 velocities, then MuJoCo's cinert (140), cvel (84), | unbounded |
    | | qfrc_actuator (23) and cfrc_ext, the contact forces (84) | |
    | action | 17 joint torques, in units of the motors' gears | [-0.4, 0.4] |
    | task | heading, rad | uniform in [0, 2π) |
    | features | mass center's velocity along x, y (m/s), control and contact cost, torso height (m), | |
    | | whether the simulation diverged | |

    Reward: 0.25 · heading · Δ(mass center) / 0.003 s, which is 1.25 times the velocity, − 0.1‖a‖² −
    min(5·10⁻⁷‖contact forces‖², 10) + 5. Start: as HumanoidVel. End: when the torso's height leaves
    [1, 2] m; after 200 steps of 0.015 s. As in PEARL's code, an agent's action is scaled to ±0.4, and the
    cost counts the scaled one.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        contact_forces: whether contact forces are computed; without, they are 0 in cost and observation.
            PEARL's humanoids ran on MuJoCo 1.5, where they were real.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = humanoid_spec("HumanoidDir", ["heading"], ["velocity_x", "velocity_y", "costs", "height"])
    task_distribution: TaskDistribution = UniformBox([0.0], [2.0 * np.pi])

    def __init__(
        self,
        num_envs: int,
        seed: int = 0,
        contact_forces: bool = True,
        threads: int | None = None,
        horizon: int | None = None,
    ) -> None:
        super().__init__(num_envs, seed, contact_forces, threads, horizon)

    def _velocity_columns(self, velocity: Column) -> list[Column]:
        return [*velocity.T]

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        velocity_x, velocity_y, costs, height, diverged = features.unbind(-1)
        heading = tasks[..., 0]
        along = velocity_x * heading.cos() + velocity_y * heading.sin()
        reward = VELOCITY_WEIGHT * along - costs + ALIVE_BONUS
        return Reward(reward, reward, spread(fallen(height, HEIGHTS, diverged), reward.shape))


class WalkingHumanoid(Humanoid):
    """Walk forward fast, whatever the body; the tasks change the dynamics alone."""

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        velocity, costs, height, diverged = features.unbind(-1)
        shape = batch_shape(features, tasks)
        alive = ALIVE_BONUS * (~fallen(height, HEIGHTS, diverged)).float()
        reward = spread(VELOCITY_WEIGHT * velocity - costs + alive, shape)
        return Reward(reward, reward, spread(diverged.bool(), shape))
