"""Half-cheetah environments whose tasks change the body (RoML)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor

from envs.base import Reward, batch_shape, spread
from envs.locomotion.half_cheetah import RunningCheetah, cheetah_spec
from envs.locomotion.model_changes import set_masses, set_sizes
from envs.locomotion.mujoco_env import Column, Features, Move
from envs.meta_env_spec import TaskChanges
from envs.task_distributions import LogUniformBox, TaskDistribution

if TYPE_CHECKING:
    import mujoco

THICKNESS = 0.046  # radius of every capsule in the model file, m
LENGTH_GEOM = 2  # the capsule whose half length RoML's code scales: the head, the torso's second geom
FEATURES = ("velocity", "control_cost", "height")


class RunningBody(RunningCheetah):
    """Run forward fast and upright, whatever the body; the tasks change the dynamics alone."""

    def _features(self, move: Move) -> Features:
        features = super()._features(move)
        features[:, 2] = self._physics.positions(move.after)[:, 1]
        return features

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        velocity, control_cost, height, diverged = features.unbind(-1)
        shape = batch_shape(features, tasks)
        reward = spread(velocity - control_cost + height, shape)
        return Reward(reward, reward, spread(diverged.bool(), shape))


class HeavierCheetah(RunningBody):
    """A half-cheetah whose mass, and with it the thickness of its limbs, depends on the task.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        update_derived: whether what MuJoCo derives from sizes and masses follows them.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    def __init__(
        self,
        num_envs: int,
        seed: int = 0,
        update_derived: bool = True,
        threads: int | None = None,
        horizon: int | None = None,
    ) -> None:
        super().__init__(num_envs, seed, threads, horizon)
        self.update_derived = update_derived


class HalfCheetahMass(HeavierCheetah):
    """Run forward with a body of unknown mass (RoML, Greenberg et al. 2023).

    | | meaning | range |
    |---|---|---|
    | observation | 8 positions without x (m, rad), 9 velocities (m/s, rad/s), torso x, y, z (m) | unbounded |
    | action | 6 joint torques, in units of the motors' range | [-1, 1] |
    | task | mass factor | log₂-uniform in [½, 2] |
    | features | forward velocity (m/s), control cost, height (m), whether the simulation diverged | |

    Reward: v − 0.05‖a‖² + height, the torso's height above its standing pose, which is about −0.5
    when it lies upside down. The factor scales every body's mass, and with it the limbs' thickness
    (0.046 m). Start, end and control cost: as HalfCheetahVel.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        update_derived: whether the bounding radii of thicker limbs follow. They do not in the published code, so
            that their contacts are missed until they are deep: at a mass factor of 2, random actions earn
            −82 instead of −59 (means of 400 episodes); up to a factor of 1 nothing differs.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = cheetah_spec("HalfCheetahMass", ["mass"], FEATURES, task_changes=TaskChanges.DYNAMICS)
    task_distribution: TaskDistribution = LogUniformBox([0.5], [2.0])

    def _shape_model(self, model: mujoco.MjModel, original: mujoco.MjModel, task: Column) -> None:
        set_masses(model, task[0] * original.body_mass, self.update_derived)
        sizes = original.geom_size.copy()
        sizes[1:, 0] = THICKNESS * task[0]
        set_sizes(model, sizes, self.update_derived)


class HalfCheetahBody(HeavierCheetah):
    """Run forward with a body of unknown mass, damping and length (RoML, Greenberg et al. 2023).

    | | meaning | range |
    |---|---|---|
    | observation | 8 positions without x (m, rad), 9 velocities (m/s, rad/s), torso x, y, z (m) | unbounded |
    | action | 6 joint torques, in units of the motors' range | [-1, 1] |
    | task | factors on mass, joint damping, length | each log₂-uniform in [½, 2] |
    | features | forward velocity (m/s), control cost, height (m), whether the simulation diverged | |

    Reward, start and end: as HalfCheetahMass. The first factor scales masses and thickness as there;
    the third the half length of geom 2, which in Gymnasium's model is the capsule of the head on the
    torso.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        update_derived: as HalfCheetahMass's, of the head's length too.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = cheetah_spec(
        "HalfCheetahBody", ["mass", "damping", "length"], FEATURES, task_changes=TaskChanges.DYNAMICS
    )
    task_distribution: TaskDistribution = LogUniformBox([0.5] * 3, [2.0] * 3)

    def _shape_model(self, model: mujoco.MjModel, original: mujoco.MjModel, task: Column) -> None:
        set_masses(model, task[0] * original.body_mass, self.update_derived)
        model.dof_damping[:] = task[1] * original.dof_damping
        sizes = original.geom_size.copy()
        sizes[1:, 0] = THICKNESS * task[0]
        sizes[LENGTH_GEOM, 1] = task[2] * original.geom_size[LENGTH_GEOM, 1]
        set_sizes(model, sizes, self.update_derived)


class HalfCheetahMulti(RunningBody):
    """Run forward with ten unknown properties of the model (RoML, Greenberg et al. 2023).

    | | meaning | range |
    |---|---|---|
    | observation | 8 positions without x (m, rad), 9 velocities (m/s, rad/s), torso x, y, z (m) | unbounded |
    | action | 6 joint torques, in units of the motors' range | [-1, 1] |
    | task | factors on ten properties of the MuJoCo model | each log₂-uniform in [2^-½, 2^½] |
    | features | forward velocity (m/s), control cost, height (m), whether the simulation diverged | |

    The properties are those that RoML drew at random from MuJoCo's model: actuator_gear,
    actuator_lengthrange, body_inertia, cam_ipd, geom_solmix, geom_solref, jnt_margin, jnt_stiffness,
    light_pos and mat_rgba. Some of them do not move the body: the task is mostly noise by design.
    Reward, start and end: as HalfCheetahMass.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    properties: ClassVar[tuple[str, ...]] = (
        "actuator_gear",
        "actuator_lengthrange",
        "body_inertia",
        "cam_ipd",
        "geom_solmix",
        "geom_solref",
        "jnt_margin",
        "jnt_stiffness",
        "light_pos",
        "mat_rgba",
    )
    meta_spec = cheetah_spec("HalfCheetahMulti", properties, FEATURES, task_changes=TaskChanges.DYNAMICS)
    task_distribution: TaskDistribution = LogUniformBox([2**-0.5] * 10, [2**0.5] * 10)

    def _shape_model(self, model: mujoco.MjModel, original: mujoco.MjModel, task: Column) -> None:
        for name, factor in zip(self.properties, task):
            getattr(model, name)[:] = np.asarray(factor * getattr(original, name))
