"""Humanoid environments whose tasks change the body (RoML)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envs.locomotion.humanoid import WalkingHumanoid, humanoid_spec
from envs.locomotion.model_changes import set_masses, set_sizes
from envs.locomotion.mujoco_env import Column
from envs.meta_env_spec import TaskChanges
from envs.task_distributions import LogUniformBox, TaskDistribution

if TYPE_CHECKING:
    import mujoco

LENGTH_GEOM = 2  # the geom whose sizes RoML's code scales as the length: the head


class HeavierHumanoid(WalkingHumanoid):
    """Walk forward with a body whose mass, and with it its thickness, depends on the task.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        contact_forces: whether contact forces are computed; without, they are 0 in cost and observation.
        update_derived: whether what MuJoCo derives from sizes and masses follows them.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

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


class HumanoidMass(HeavierHumanoid):
    """Walk forward with a body of unknown mass (RoML, Greenberg et al. 2023).

    | | meaning | range |
    |---|---|---|
    | observation | 22 positions without x, y, 23 velocities, then MuJoCo's cinert (140), cvel (84), | unbounded |
    | | qfrc_actuator (23) and cfrc_ext, the contact forces (84) | |
    | action | 17 joint torques, in units of the motors' gears | [-0.4, 0.4] |
    | task | mass factor | log₂-uniform in [½, 2] |
    | features | mass center's velocity along x (m/s), control and contact cost, torso height (m), | |
    | | whether the simulation diverged | |

    Reward: Gymnasium's: 1.25 v − 0.1‖a‖², plus 5 while the torso's height is within [1, 2] m; with
    `contact_forces`, minus min(5·10⁻⁷‖contact forces‖², 10), which from a factor of about 1.8 on is 10
    in every step, since thick limbs penetrate each other. Start and action: as HumanoidVel. End: after 200 steps of
    0.015 s; a fall does not end it. The factor scales every body's mass, and with it its thickness.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        contact_forces: as HumanoidVel's.
        update_derived: whether what MuJoCo derives from sizes and masses follows them: bounding radii, and the
            center of mass that cinert and cvel refer to. Neither does in the published code, so that
            contacts of thick limbs are missed.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = humanoid_spec("HumanoidMass", ["mass"], task_changes=TaskChanges.DYNAMICS)
    task_distribution: TaskDistribution = LogUniformBox([0.5], [2.0])

    def _shape_model(self, model: mujoco.MjModel, original: mujoco.MjModel, task: Column) -> None:
        set_masses(model, task[0] * original.body_mass, self.update_derived)
        sizes = original.geom_size.copy()
        sizes[1:, 0] *= task[0]
        set_sizes(model, sizes, self.update_derived)


class HumanoidBody(HeavierHumanoid):
    """Walk forward with a body of unknown mass, damping and length (RoML, Greenberg et al. 2023).

    | | meaning | range |
    |---|---|---|
    | observation | 22 positions without x, y, 23 velocities, then MuJoCo's cinert (140), cvel (84), | unbounded |
    | | qfrc_actuator (23) and cfrc_ext, the contact forces (84) | |
    | action | 17 joint torques, in units of the motors' gears | [-0.4, 0.4] |
    | task | factors on mass, joint damping, length | each log₂-uniform in [½, 2] |
    | features | mass center's velocity along x (m/s), control and contact cost, torso height (m), | |
    | | whether the simulation diverged | |

    Reward, start and end: as HumanoidMass. The first factor scales masses and thickness as there; the
    third the size of geom 2, which in Gymnasium's model is the head.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        contact_forces: as HumanoidVel's.
        update_derived: as HumanoidMass's.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = humanoid_spec("HumanoidBody", ["mass", "damping", "length"], task_changes=TaskChanges.DYNAMICS)
    task_distribution: TaskDistribution = LogUniformBox([0.5] * 3, [2.0] * 3)

    def _shape_model(self, model: mujoco.MjModel, original: mujoco.MjModel, task: Column) -> None:
        set_masses(model, task[0] * original.body_mass, self.update_derived)
        model.dof_damping[:] = task[1] * original.dof_damping
        sizes = original.geom_size.copy()
        sizes[1:, 0] *= task[0]
        sizes[LENGTH_GEOM] = task[2] * original.geom_size[LENGTH_GEOM]
        set_sizes(model, sizes, self.update_derived)
