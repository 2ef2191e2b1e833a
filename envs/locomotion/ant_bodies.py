"""Ant environments whose tasks change the body (RoML)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from envs.base import Reward, batch_shape, spread
from envs.locomotion.ant import HEIGHTS, StrongAnt, ant_spec
from envs.locomotion.model_changes import set_masses, set_sizes
from envs.locomotion.mujoco_env import Column, Features, Move, columns, fallen
from envs.meta_env_spec import TaskChanges
from envs.task_distributions import LogUniformBox, TaskDistribution

if TYPE_CHECKING:
    import mujoco

LENGTH_GEOM = 2  # the capsule whose half length RoML's code scales: the front left leg's first part
FEATURES = ("velocity", "costs", "height")


class WalkingBody(StrongAnt):
    """Walk forward fast, whatever the body; the tasks change the dynamics alone.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        contact_forces: whether contact forces are computed; without, they are 0 in the cost.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    def __init__(
        self,
        num_envs: int,
        seed: int = 0,
        contact_forces: bool = False,
        threads: int | None = None,
        horizon: int | None = None,
    ) -> None:
        super().__init__(num_envs, seed, contact_forces, threads, horizon)

    def _features(self, move: Move) -> Features:
        height = self._physics.positions(move.after)[:, 2]
        return columns(self._planar_velocity(move)[:, 0], self._costs(move), height)

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        velocity, costs, height, diverged = features.unbind(-1)
        shape = batch_shape(features, tasks)
        upright = (~fallen(height, HEIGHTS, diverged)).float()
        reward = spread(velocity - costs + upright, shape)
        return Reward(reward, reward, spread(diverged.bool(), shape))


class AntMass(WalkingBody):
    """Walk forward with a body of unknown mass (RoML, Greenberg et al. 2023).

    | | meaning | range |
    |---|---|---|
    | observation | 13 positions without x, y (m, quaternion, rad), 14 velocities (m/s, rad/s) | unbounded |
    | action | 8 joint torques, in units of the motors' range | [-1, 1] |
    | task | mass factor | log₂-uniform in [½, 2] |
    | features | velocity along x (m/s), control and contact cost, torso height (m), whether it diverged | |

    Reward: v − 0.5‖a‖², plus 1 while the torso's height is within [0.2, 1.0] m; with `contact_forces`,
    minus 0.0005‖contact forces clipped to ±1‖². Start: as AntGoal. End: after 200 steps of 0.05 s; a fall
    does not end it. The factor scales every body's mass in Gymnasium's Ant-v5.

    The control cost counts the action within its bounds; in the published code, as the policy gave it.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        contact_forces: whether contact forces are computed and cost something. RoML's runs used MuJoCo 2.0
            through mujoco-py, where all of them read 0.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = ant_spec("AntMass", ["mass"], FEATURES, 27, TaskChanges.DYNAMICS)
    task_distribution: TaskDistribution = LogUniformBox([0.5], [2.0])

    def _shape_model(self, model: mujoco.MjModel, original: mujoco.MjModel, task: Column) -> None:
        set_masses(model, task[0] * original.body_mass)


class AntBody(WalkingBody):
    """Walk forward with a body of unknown mass, damping and length (RoML, Greenberg et al. 2023).

    | | meaning | range |
    |---|---|---|
    | observation | 13 positions without x, y (m, quaternion, rad), 14 velocities (m/s, rad/s) | unbounded |
    | action | 8 joint torques, in units of the motors' range | [-1, 1] |
    | task | factors on mass, joint damping, length | each log₂-uniform in [½, 2] |
    | features | velocity along x (m/s), control and contact cost, torso height (m), whether it diverged | |

    Reward, start and end: as AntMass. The third factor scales the half length of geom 2, which in
    Gymnasium's model is the first part of the front left leg.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        contact_forces: as AntMass's.
        update_derived: whether the bounding radius of a longer leg follows. It does not in the published
            code, so that contacts of the leg's ends are missed.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = ant_spec("AntBody", ["mass", "damping", "length"], FEATURES, 27, TaskChanges.DYNAMICS)
    task_distribution: TaskDistribution = LogUniformBox([0.5] * 3, [2.0] * 3)

    def __init__(
        self,
        num_envs: int,
        seed: int = 0,
        contact_forces: bool = False,
        update_derived: bool = True,
        threads: int | None = None,
        horizon: int | None = None,
    ) -> None:
        super().__init__(num_envs, seed, contact_forces, threads, horizon)
        self.update_derived = update_derived

    def _shape_model(self, model: mujoco.MjModel, original: mujoco.MjModel, task: Column) -> None:
        set_masses(model, task[0] * original.body_mass, self.update_derived)
        model.dof_damping[:] = task[1] * original.dof_damping
        sizes = original.geom_size.copy()
        sizes[LENGTH_GEOM, 1] = task[2] * original.geom_size[LENGTH_GEOM, 1]
        set_sizes(model, sizes, self.update_derived)
