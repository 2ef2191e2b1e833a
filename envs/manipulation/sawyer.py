"""HFR's Sawyer environments (Wan et al. 2022): reach a place, or push a puck to it, on the scene of Meta-World."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from envs.base import Reward, box, spread
from envs.locomotion.mujoco_env import Features, Move, MujocoEnv, columns, joined
from envs.meta_env_spec import MetaEnvSpec, TaskChanges
from envs.physics import BatchedPhysics, Models, State, physics_state
from envs.task_distributions import TaskDistribution, UniformBox

if TYPE_CHECKING:
    import mujoco

    from envs.mujoco_loop import Addresses, Moved

SUBSTEPS = 5
HORIZON = 150
ACTION_SCALE = 0.01  # m of the hand's target, an action of 1
TARGET_LOW, TARGET_HIGH = np.array([-0.5, 0.4, 0.05]), np.array([0.5, 1.0, 0.5])  # where it may go, m
WELD = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 5.0)  # how Meta-World ties the hand to its target
OPEN_GRIPPER = np.array([[-1.0, 1.0]])
SETTLING = 10  # steps in which the hand goes to its place before an episode
ABOVE_PUCK = (0.0, 0.6, 0.2)
BEHIND_PUCK = (0.0, 0.65, 0.0)
PUCK = (0.0, 0.6)  # start of the puck, m
PUCK_POSITION, PUCK_VELOCITY = slice(9, 12), slice(9, 15)  # within generalized positions and velocities
REACH_RADIUS, PUSH_RADIUS, TOUCH = 0.05, 0.07, 0.05  # m
FIELDS = ("xpos", "geom_xpos", "site_xpos")
GOALS_FAR = UniformBox([-0.1, 0.8, 0.05], [0.1, 0.9, 0.3])
GOALS_NEAR = UniformBox([-0.1, 0.7, 0.05], [0.1, 0.8, 0.3])


@lru_cache
def sawyer_model() -> mujoco.MjModel:
    """Meta-World's arm, table and puck, without automatic reset; shared, as `load_model`'s."""
    import mujoco  # these, only for those who simulate
    from metaworld.asset_path_utils import full_V3_path_for

    model = mujoco.MjModel.from_xml_path(full_V3_path_for("sawyer_xyz/sawyer_reach_v3.xml"))
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET.value
    model.eq_data[0] = WELD
    return model


class SawyerPhysics(BatchedPhysics):
    """The arm, whose hand is pulled to a target; the target's place is part of the state.

    An action `[4]` moves the target along x, y, z and sets the gripper's force.

    Args:
        threads: native threads; None takes one per core that this process may use.
    """

    def __init__(self, threads: int | None = None) -> None:
        import mujoco

        target = mujoco.mjtState.mjSTATE_MOCAP_POS.value | mujoco.mjtState.mjSTATE_MOCAP_QUAT.value
        super().__init__(sawyer_model(), SUBSTEPS, threads, FIELDS, target)
        first = mujoco.mj_stateSize(self.model, physics_state())
        self._target = slice(first, first + 3)
        self._target_turn = slice(first + 3, first + 7)
        hand, puck = self.model.body("hand").id, self.model.geom("objGeom").id
        fingers = [self.model.site(name).id for name in ("rightEndEffector", "leftEndEffector")]
        starts = {name: part.start for name, part in self.field_slices.items()}
        self._hand, self._puck, *self._fingers = (
            slice(starts[name] + 3 * number, starts[name] + 3 * number + 3)
            for name, number in zip(("xpos", "geom_xpos", "site_xpos", "site_xpos"), (hand, puck, *fingers))
        )

    def hand(self, readings: State) -> State:
        """Place of the hand in `readings` `[n, readings]`, m, `[n, 3]`."""
        return readings[:, self._hand]

    def puck(self, readings: State) -> State:
        """Place of the puck, m, `[n, 3]`."""
        return readings[:, self._puck]

    def grip(self, readings: State) -> State:
        """The point between the fingers, m, `[n, 3]`."""
        right, left = self._fingers
        between: State = (readings[:, right] + readings[:, left]) / 2.0
        return between

    def advance(self, models: Addresses, state: State, controls: State) -> Moved:
        state = state.copy()
        moved = state[:, self._target] + ACTION_SCALE * controls[:, :3]
        state[:, self._target] = moved.clip(TARGET_LOW, TARGET_HIGH)
        return super().advance(models, state, controls[:, 3:] * OPEN_GRIPPER[:, ::-1])

    def settled(self, target: tuple[float, float, float]) -> State:
        """The state in which an episode begins: the hand pulled to `target` (m) for a while, the puck in its place."""
        state = self.initial_state[None].copy()
        state[:, self._target], state[:, self._target_turn] = target, (1.0, 0.0, 1.0, 0.0)
        for _ in range(SETTLING):
            state, readings, _ = super().advance(Models(self.model, 1).addresses, state, OPEN_GRIPPER)
        self.positions(state)[:, PUCK_POSITION] = (*PUCK, self.puck(readings)[0, 2])
        self.velocities(state)[:, PUCK_VELOCITY] = 0.0
        row: State = state[0]
        return row


def _sawyer_spec(name: str, feature_names: Sequence[str]) -> MetaEnvSpec:
    return MetaEnvSpec(
        name=name,
        observation_dim=6,
        action_dim=4,
        task_names=("goal_x", "goal_y", "goal_z"),
        feature_names=(*feature_names, "diverged"),
        horizon=HORIZON,
        task_changes=TaskChanges.REWARD,
    )


def shaped(distance: Tensor, start: Tensor) -> Tensor:
    """Early Meta-World's reward for a `distance` to the goal that was `start` at first, m."""
    near = (-distance.square() / 0.01).exp() + (-distance.square() / 0.001).exp()
    return (1000.0 * (start - distance + near)).clamp(min=0.0)


@lru_cache
def beginning(target: tuple[float, float, float]) -> tuple[State, State]:
    """State and readings at the start of every episode whose hand is pulled to `target` (m), a row each."""
    physics = SawyerPhysics(threads=1)
    state = physics.settled(target)[None]
    return state, physics.read(Models(physics.model, 1).addresses, state)


class Sawyer(MujocoEnv):
    """An arm over a table with a puck; every episode starts alike, the hand still on its way to its place.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    single_observation_space = box(-np.inf, np.inf, 6)
    single_action_space = box(-1.0, 1.0, 4)
    hand_start: ClassVar[tuple[float, float, float]] = ABOVE_PUCK
    _physics: SawyerPhysics

    def __init__(self, num_envs: int, seed: int = 0, threads: int | None = None, horizon: int | None = None) -> None:
        super().__init__(num_envs, seed, SawyerPhysics(threads), horizon)

    def _start(self, env_ids: Tensor) -> None:
        state, readings = beginning(self.hand_start)
        if self._readings.shape[1] != readings.shape[1]:
            self._readings = np.zeros((self.num_envs, readings.shape[1]))
        self._state[env_ids.numpy()], self._readings[env_ids.numpy()] = state, readings

    def _observe(self) -> Tensor:
        if not self._readings.size:
            return torch.zeros(self.num_envs, 6)
        return joined(self._physics.hand(self._readings), self._physics.puck(self._readings))


class Reaching(Sawyer):
    """The fingers are to go to the goal."""

    def _features(self, move: Move) -> Features:
        return columns(*self._physics.grip(move.readings_after).T)

    def _distance(self, features: Tensor, tasks: Tensor) -> Tensor:
        distance: Tensor = torch.linalg.vector_norm(features[..., :3] - tasks, dim=-1)
        return distance

    def success(self, features: Tensor, tasks: Tensor) -> Tensor | None:
        return self._distance(features, tasks) <= REACH_RADIUS


class Pushing(Sawyer):
    """The puck is to go to the goal, in the plane of the table."""

    def _features(self, move: Move) -> Features:
        puck, grip = self._physics.puck(move.readings_after), self._physics.grip(move.readings_after)
        return columns(*puck[:, :2].T, np.linalg.norm(grip - puck, axis=-1))

    def _distance(self, features: Tensor, tasks: Tensor) -> Tensor:
        distance: Tensor = torch.linalg.vector_norm(features[..., :2] - tasks[..., :2], dim=-1)
        return distance

    def success(self, features: Tensor, tasks: Tensor) -> Tensor | None:
        return self._distance(features, tasks) <= PUSH_RADIUS


def _sparse(arrived: Tensor, diverged: Tensor) -> Reward:
    """0 on arrival, else −1; arrival ends the episode."""
    reward = arrived.float() - 1.0
    return Reward(reward, reward, arrived | (diverged > 0))


class SawyerReach(Reaching):
    """Reach a hidden goal with the hand of an arm (HFR, Wan et al. 2022).

    | | meaning | range |
    |---|---|---|
    | observation | hand x, y, z, puck x, y, z, m | unbounded |
    | action | movement of the hand's target along x, y, z in centimetres, force of the gripper | [-1, 1] |
    | task | goal x, y, z, m | uniform in [-0.1, 0.1] × [0.8, 0.9] × [0.05, 0.3] |
    | features | point between the fingers (m), whether the simulation diverged | |

    Reward: 1000 (d₀ − d + exp(−d²/0.01) + exp(−d²/0.001)), or 0 where that is negative; d is the distance from
    the point between the fingers to the goal, d₀ what it is at the start. Success: d ≤ 0.05 m. Start: the hand
    on its way to (0, 0.6, 0.2), gripper open, always the same. End: after 150 steps of 12.5 ms. The scene is that
    of Meta-World's reach-v3; HFR's was that of a Meta-World of 2020.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = _sawyer_spec("SawyerReach", ["grip_x", "grip_y", "grip_z"])
    task_distribution: TaskDistribution = GOALS_FAR

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        _, readings = beginning(self.hand_start)
        start = torch.from_numpy(self._physics.grip(readings)[0]).to(features)
        distance = self._distance(features, tasks)
        reward = shaped(distance, torch.linalg.vector_norm(start - tasks, dim=-1))
        return Reward(reward, reward, spread(features[..., -1] > 0, reward.shape))


class SawyerReachSparse(Reaching):
    """Find a hidden goal with the hand of an arm (HFR, Wan et al. 2022).

    | | meaning | range |
    |---|---|---|
    | observation | hand x, y, z, puck x, y, z, m | unbounded |
    | action | movement of the hand's target along x, y, z in centimetres, force of the gripper | [-1, 1] |
    | task | goal x, y, z, m | uniform in [-0.1, 0.1] × [0.7, 0.8] × [0.05, 0.3] |
    | features | point between the fingers (m), whether the simulation diverged | |

    Reward: 0 where the point between the fingers is within 0.05 m of the goal, else −1. HFR's critics learn from it
    too. Success and end: there; after 150 steps of 12.5 ms. Start and scene: as SawyerReach, the goals nearer.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = _sawyer_spec("SawyerReachSparse", ["grip_x", "grip_y", "grip_z"])
    task_distribution: TaskDistribution = GOALS_NEAR

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        return _sparse(self._distance(features, tasks) <= REACH_RADIUS, features[..., -1])


class SawyerPush(Pushing):
    """Push a puck to a hidden goal (HFR, Wan et al. 2022).

    | | meaning | range |
    |---|---|---|
    | observation | hand x, y, z, puck x, y, z, m | unbounded |
    | action | movement of the hand's target along x, y, z in centimetres, force of the gripper | [-1, 1] |
    | task | goal x, y, z, m | uniform in [-0.1, 0.1] × [0.8, 0.9] × [0.05, 0.3] |
    | features | puck x, y (m), distance from fingers to puck (m), whether the simulation diverged | |

    Reward: minus the distance from fingers to puck; where that is below 0.05 m, plus SawyerReach's reward of the
    distance in the plane from puck to goal. Success: puck and goal within 0.07 m in the plane. Start: as SawyerReach,
    the puck at (0, 0.6). End: after 150 steps of 12.5 ms.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = _sawyer_spec("SawyerPush", ["puck_x", "puck_y", "grip_to_puck"])
    task_distribution: TaskDistribution = GOALS_FAR

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        distance, reach = self._distance(features, tasks), features[..., 2]
        start = torch.linalg.vector_norm(features.new_tensor(PUCK) - tasks[..., :2], dim=-1)
        reward = torch.where(reach < TOUCH, shaped(distance, start), 0.0) - reach
        return Reward(reward, reward, spread(features[..., -1] > 0, reward.shape))


class SawyerPushSparse(Pushing):
    """Find out where a puck is to be pushed (HFR, Wan et al. 2022).

    | | meaning | range |
    |---|---|---|
    | observation | hand x, y, z, puck x, y, z, m | unbounded |
    | action | movement of the hand's target along x, y, z in centimetres, force of the gripper | [-1, 1] |
    | task | goal x, y, z, m | uniform in [-0.1, 0.1] × [0.8, 0.9] × [0.05, 0.3] |
    | features | puck x, y (m), distance from fingers to puck (m), whether the simulation diverged | |

    Reward: 0 where puck and goal are within 0.07 m in the plane, else −1. HFR's critics learn from it too. Success
    and end: there; after 150 steps of 12.5 ms. Start: as SawyerPush, but the hand is on its way from
    behind the puck to (0, 0.65, 0), low over the table.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = _sawyer_spec("SawyerPushSparse", ["puck_x", "puck_y", "grip_to_puck"])
    task_distribution: TaskDistribution = GOALS_FAR
    hand_start = BEHIND_PUCK

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        return _sparse(self._distance(features, tasks) <= PUSH_RADIUS, features[..., -1])
