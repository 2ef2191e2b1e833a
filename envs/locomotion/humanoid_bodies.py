"""Humanoid worlds whose tasks change the body (RoML)."""

from __future__ import annotations

import mujoco

from envs.base import TaskChanges
from envs.locomotion.humanoid import WalkingHumanoid, humanoid_spec
from envs.locomotion.model_changes import set_masses, set_sizes
from envs.locomotion.mujoco_world import Column
from envs.task_distributions import LogUniformBox, TaskDistribution

LENGTH_GEOM = 2  # the geom whose sizes RoML's code scales as the length: the head


class HumanoidMass(WalkingHumanoid):
    """Walk forward with a body of unknown mass (RoML, Greenberg et al. 2023).

    | | meaning | range |
    |---|---|---|
    | observation | 22 positions without x, y, 23 velocities, then MuJoCo's cinert (140), cvel (84), | unbounded |
    | | qfrc_actuator (23) and cfrc_ext, the contact forces (84) | |
    | action | 17 joint torques, in units of the motors' gears | [-0.4, 0.4] |
    | task | mass factor | log₂-uniform in [½, 2] |
    | features | mass centre's velocity along x (m/s), control and contact cost, torso height (m), | |
    | | whether the simulation diverged | |

    Reward: Gymnasium's: 1.25 v − 0.1‖a‖² − min(5·10⁻⁷‖contact forces‖², 10), plus 5 while the torso's
    height is within [1, 2] m. Start: as HumanoidVel. End: after 200 steps of 0.015 s; a fall does not
    end it. The factor scales every body's mass, and with it its thickness.

    Args:
        num_envs: number of copies.
        seed: seed of the world's own random generator.
        threads: native physics threads; None takes one per core.
    """

    world = humanoid_spec("HumanoidMass", ["mass"], task_changes=TaskChanges.DYNAMICS)
    task_distribution: TaskDistribution = LogUniformBox([0.5], [2.0])

    def _shape_model(self, model: mujoco.MjModel, original: mujoco.MjModel, task: Column) -> None:
        set_masses(model, task[0] * original.body_mass)
        sizes = original.geom_size.copy()
        sizes[1:, 0] *= task[0]
        set_sizes(model, sizes)


class HumanoidBody(WalkingHumanoid):
    """Walk forward with a body of unknown mass, damping and length (RoML, Greenberg et al. 2023).

    | | meaning | range |
    |---|---|---|
    | observation | 22 positions without x, y, 23 velocities, then MuJoCo's cinert (140), cvel (84), | unbounded |
    | | qfrc_actuator (23) and cfrc_ext, the contact forces (84) | |
    | action | 17 joint torques, in units of the motors' gears | [-0.4, 0.4] |
    | task | factors on mass, joint damping, length | each log₂-uniform in [½, 2] |
    | features | mass centre's velocity along x (m/s), control and contact cost, torso height (m), | |
    | | whether the simulation diverged | |

    Reward, start and end: as HumanoidMass. The first factor scales masses and thickness as there; the
    third the size of geom 2, which in Gymnasium's model is the head.

    Args:
        num_envs: number of copies.
        seed: seed of the world's own random generator.
        threads: native physics threads; None takes one per core.
    """

    world = humanoid_spec("HumanoidBody", ["mass", "damping", "length"], task_changes=TaskChanges.DYNAMICS)
    task_distribution: TaskDistribution = LogUniformBox([0.5] * 3, [2.0] * 3)

    def _shape_model(self, model: mujoco.MjModel, original: mujoco.MjModel, task: Column) -> None:
        set_masses(model, task[0] * original.body_mass)
        model.dof_damping[:] = task[1] * original.dof_damping
        sizes = original.geom_size.copy()
        sizes[1:, 0] *= task[0]
        sizes[LENGTH_GEOM] = task[2] * original.geom_size[LENGTH_GEOM]
        set_sizes(model, sizes)
