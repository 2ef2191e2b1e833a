"""Ant environments whose tasks specify where or how to walk."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from envs.base import Reward, box, spread
from envs.errors import require
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
from envs.physics import BatchedPhysics
from envs.task_distributions import FiniteTasks, HalfCircle, TaskDistribution, UniformBox

if TYPE_CHECKING:
    import mujoco

SUBSTEPS = 5
LOW_GEAR = 30.0  # of every motor in HFR's ant; Gymnasium's has 150
CONTACT_COST = 0.0005
HFR_CONTROL_COST = 0.005
HFR_BONUS = 0.05
HEIGHTS = (0.2, 1.0)  # of the torso, m; outside, the ant has fallen or jumped


@lru_cache
def low_gear_model() -> mujoco.MjModel:
    """Gymnasium's ant with weak motors; shared, as `load_model`'s."""
    model = copy.copy(load_model("ant.xml"))
    model.actuator_gear[:, 0] = LOW_GEAR
    return model


def ant_spec(
    name: str,
    task_names: Sequence[str],
    feature_names: Sequence[str],
    observation_dim: int,
    task_changes: TaskChanges = TaskChanges.REWARD,
) -> MetaEnvSpec:
    """The sizes and names of an ant environment; `diverged` is added to the features."""
    return robot_spec(name, 8, observation_dim, task_names, feature_names, task_changes)


class Ant(MujocoEnv):
    """An ant that may pay for contact forces.

    MuJoCo has no longer computed these forces by itself since version 2.0, and mujoco-py never asked for them.
    So they are real in results of MuJoCo 1.5 (HFR: mujoco-py 1.50.1.68, PEARL: 1.50.1.63), and 0 in
    those of 2.0 (RoML: 2.0.2.10). The defaults of the environments are those of their source.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        model: its model.
        contact_forces: whether contact forces are computed; without, they are 0 in the cost.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    single_action_space = box(-1.0, 1.0, 8)
    position_noise = 0.1
    velocity_noise = 0.1
    control_cost: ClassVar[float]

    def __init__(
        self,
        num_envs: int,
        seed: int,
        model: mujoco.MjModel,
        contact_forces: bool,
        threads: int | None,
        horizon: int | None,
    ) -> None:
        fields = ["cfrc_ext"] if contact_forces else []
        super().__init__(num_envs, seed, BatchedPhysics(model, SUBSTEPS, threads, fields), horizon)
        self.contact_forces = contact_forces

    def _planar_velocity(self, move: Move) -> Column:
        """Velocity of the torso over the step, m/s, `[n, 2]`."""
        moved = self._physics.positions(move.after)[:, :2] - self._physics.positions(move.before)[:, :2]
        velocity: Column = moved / self._physics.dt
        return velocity

    def _costs(self, move: Move) -> Column:
        """Control and contact cost, `[n]`."""
        costs: Column = self.control_cost * sums_of_squares(move.controls)
        if self.contact_forces:
            costs += CONTACT_COST * sums_of_squares(move.readings_after.clip(-1.0, 1.0))
        return costs


class LowGearAnt(Ant):
    """HFR's ant: weak motors; it observes its place and the contact forces.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        contact_forces: whether contact forces are computed; without, they are 0 in cost and observation.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    single_observation_space = box(-np.inf, np.inf, 113)
    control_cost = HFR_CONTROL_COST

    def __init__(
        self,
        num_envs: int,
        seed: int = 0,
        contact_forces: bool = True,
        threads: int | None = None,
        horizon: int | None = None,
    ) -> None:
        super().__init__(num_envs, seed, low_gear_model(), contact_forces, threads, horizon)
        self._absent_forces = absent_forces(num_envs, contact_forces)

    def _observe(self) -> Tensor:
        return joined(
            self._physics.positions(self._state),
            self._physics.velocities(self._state),
            self._readings.clip(-1.0, 1.0),
            self._absent_forces,
        )


class AntGoal(LowGearAnt):
    """Walk to a hidden goal that pays only nearby (HFR, Wan et al. 2022).

    | | meaning | range |
    |---|---|---|
    | observation | 15 positions (m, quaternion, rad), 14 velocities (m/s, rad/s), | unbounded |
    | | 84 contact forces clipped to ±1 (cfrc_ext) | |
    | action | 8 joint torques, in units of the motors' range | [-1, 1] |
    | task | goal x, y, m | uniform on the upper half circle of radius 2 |
    | features | torso x, y (m), control and contact cost, torso height (m), whether the simulation diverged | |

    Reward: 4 − ‖p − g‖₁ within `goal_radius` (Euclidean) of the goal, else 4 − ‖g‖₁; minus 0.005‖a‖²,
    minus 0.0005‖contact forces clipped to ±1‖², plus 0.05. HFR's critics learn from this reward too,
    so there is no dense one. Start: the standing pose, positions uniform within ±0.1, velocities
    normal with std 0.1. End: when the torso's height leaves [0.2, 1.0] m; after 200 steps of
    0.05 s. The dynamics are Gymnasium's Ant-v5 with motor gears of 30 instead of 150.

    HFR's code spaces its goals evenly on the half circle; here they are independent. Its rewards see the
    torso where it was one substep (0.01 s) before. The contact forces of a first observation are those of
    its pose; Gymnasium's environments show zeros there.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        goal_radius: distance within which nearness pays, m.
        contact_forces: whether contact forces are computed; without, they are 0 in cost and observation.
            HFR's ants ran on MuJoCo 1.5, where they were real.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = ant_spec("AntGoal", ["goal_x", "goal_y"], ["x", "y", "costs", "height"], 113)
    task_distribution: TaskDistribution = HalfCircle(2.0)

    def __init__(
        self,
        num_envs: int,
        seed: int = 0,
        goal_radius: float = 0.8,
        contact_forces: bool = True,
        threads: int | None = None,
        horizon: int | None = None,
    ) -> None:
        require(goal_radius > 0, "goal_radius", goal_radius, "it must be positive", "HFR uses 0.8 metres.", of=self)
        self.goal_radius = goal_radius
        super().__init__(num_envs, seed, contact_forces, threads, horizon)

    def _features(self, move: Move) -> Features:
        x, y, height = self._physics.positions(move.after)[:, :3].T
        return columns(x, y, self._costs(move), height)

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        _, _, costs, height, diverged = features.unbind(-1)
        offset = features[..., :2] - tasks
        near = torch.linalg.vector_norm(offset, dim=-1, keepdim=True) <= self.goal_radius
        distance = torch.where(near, offset, tasks).abs_().sum(-1)
        reward = (4.0 + HFR_BONUS - distance).sub_(costs)
        return Reward(reward, reward, spread(fallen(height, HEIGHTS, diverged), reward.shape))


class VelocityAnt(LowGearAnt):
    """A low-gear ant whose features tell its forward velocity."""

    def _features(self, move: Move) -> Features:
        height = self._physics.positions(move.after)[:, 2]
        return columns(self._planar_velocity(move)[:, 0], self._costs(move), height)


class AntVel(VelocityAnt):
    """Walk at a hidden target velocity (HFR, Wan et al. 2022).

    | | meaning | range |
    |---|---|---|
    | observation | 15 positions (m, quaternion, rad), 14 velocities (m/s, rad/s), | unbounded |
    | | 84 contact forces clipped to ±1 (cfrc_ext) | |
    | action | 8 joint torques, in units of the motors' range | [-1, 1] |
    | task | target velocity along x, m/s | uniform in [0, 3] |
    | features | velocity along x (m/s), control and contact cost, torso height (m), whether it diverged | |

    Reward: 1 − |v − v*| − 0.005‖a‖² − 0.0005‖contact forces clipped to ±1‖² + 0.05. Start, end and
    dynamics: as AntGoal.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        contact_forces: as AntGoal's.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = ant_spec("AntVel", ["velocity"], ["velocity", "costs", "height"], 113)
    task_distribution: TaskDistribution = UniformBox([0.0], [3.0])

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        velocity, costs, height, diverged = features.unbind(-1)
        reward = 1.0 - (velocity - tasks[..., 0]).abs() - costs + HFR_BONUS
        return Reward(reward, reward, spread(fallen(height, HEIGHTS, diverged), reward.shape))


class AntVelSparse(VelocityAnt):
    """Walk at a hidden target velocity with a bonus when nearly hit (HFR, Wan et al. 2022).

    | | meaning | range |
    |---|---|---|
    | observation | 15 positions (m, quaternion, rad), 14 velocities (m/s, rad/s), | unbounded |
    | | 84 contact forces clipped to ±1 (cfrc_ext) | |
    | action | 8 joint torques, in units of the motors' range | [-1, 1] |
    | task | target velocity along x, m/s | uniform in [-1.5, 1.5] |
    | features | velocity along x (m/s), control and contact cost, torso height (m), whether it diverged | |

    Reward: −|v − v*|, plus 1 where |v − v*| < `goal_radius`; costs and bonus as AntVel. Start, end
    and dynamics: as AntGoal.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        goal_radius: |v − v*| below which the bonus is paid, m/s.
        contact_forces: as AntGoal's.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = ant_spec("AntVelSparse", ["velocity"], ["velocity", "costs", "height"], 113)
    task_distribution: TaskDistribution = UniformBox([-1.5], [1.5])

    def __init__(
        self,
        num_envs: int,
        seed: int = 0,
        goal_radius: float = 0.5,
        contact_forces: bool = True,
        threads: int | None = None,
        horizon: int | None = None,
    ) -> None:
        require(
            goal_radius > 0, "goal_radius", goal_radius, "it must be positive", "HFR uses 0.5 metres a second.", of=self
        )
        self.goal_radius = goal_radius
        super().__init__(num_envs, seed, contact_forces, threads, horizon)

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        velocity, costs, height, diverged = features.unbind(-1)
        error = (velocity - tasks[..., 0]).abs()
        reward = -error + (error < self.goal_radius).float() - costs + HFR_BONUS
        return Reward(reward, reward, spread(fallen(height, HEIGHTS, diverged), reward.shape))


class StrongAnt(Ant):
    """Gymnasium's ant, which observes neither its place nor contact forces (PEARL, RoML).

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        contact_forces: whether contact forces are computed; without, they are 0 in the cost.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    single_observation_space = box(-np.inf, np.inf, 27)
    control_cost = 0.5

    def __init__(
        self, num_envs: int, seed: int, contact_forces: bool, threads: int | None, horizon: int | None
    ) -> None:
        super().__init__(num_envs, seed, load_model("ant.xml"), contact_forces, threads, horizon)

    def _observe(self) -> Tensor:
        return joined(self._physics.positions(self._state)[:, 2:], self._physics.velocities(self._state))


class AntDir(StrongAnt):
    """Walk as fast as possible in a hidden direction (PEARL, Rakelly et al. 2019).

    | | meaning | range |
    |---|---|---|
    | observation | 13 positions without x, y (m, quaternion, rad), 14 velocities (m/s, rad/s) | unbounded |
    | action | 8 joint torques, in units of the motors' range | [-1, 1] |
    | task | heading, rad | uniform in [0, 2π); 0 or π if `forward_backward` |
    | features | velocity along x, y (m/s), control and contact cost, torso height (m), whether it diverged | |

    Reward: velocity along the heading − 0.5‖a‖² − 0.0005‖contact forces clipped to ±1‖² + 1. Start
    and end: as AntGoal. The dynamics are Gymnasium's Ant-v5.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        forward_backward: whether there are only two tasks, forward and backward.
        contact_forces: whether contact forces are computed; without, they are 0 in the cost. PEARL's ants
            ran on MuJoCo 1.5, where they were real.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = ant_spec("AntDir", ["heading"], ["velocity_x", "velocity_y", "costs", "height"], 27)

    def __init__(
        self,
        num_envs: int,
        seed: int = 0,
        forward_backward: bool = False,
        contact_forces: bool = True,
        threads: int | None = None,
        horizon: int | None = None,
    ) -> None:
        self.task_distribution: TaskDistribution = (
            FiniteTasks([[0.0], [np.pi]]) if forward_backward else UniformBox([0.0], [2.0 * np.pi])
        )
        super().__init__(num_envs, seed, contact_forces, threads, horizon)

    def _features(self, move: Move) -> Features:
        height = self._physics.positions(move.after)[:, 2]
        return columns(*self._planar_velocity(move).T, self._costs(move), height)

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        velocity_x, velocity_y, costs, height, diverged = features.unbind(-1)
        heading = tasks[..., 0]
        reward = velocity_x * heading.cos() + velocity_y * heading.sin() - costs + 1.0
        return Reward(reward, reward, spread(fallen(height, HEIGHTS, diverged), reward.shape))
