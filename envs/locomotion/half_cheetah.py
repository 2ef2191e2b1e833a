"""Half-cheetah environments whose tasks specify how to run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from envs.base import Reward, box, spread
from envs.errors import require
from envs.locomotion.mujoco_env import (
    Features,
    Move,
    MujocoEnv,
    columns,
    joined,
    load_model,
    robot_spec,
    sums_of_squares,
)
from envs.meta_env_spec import MetaEnvSpec, TaskChanges
from envs.physics import BatchedPhysics
from envs.task_distributions import FiniteTasks, TaskDistribution, UniformBox

SUBSTEPS = 5
CONTROL_COST = 0.05
TORSO_HEIGHT = 0.7  # of the torso's frame above its root joint, in the model file
STATE_STATISTICS = Path(__file__).with_name("half_cheetah_state_stats.json")


def cheetah_spec(
    name: str,
    task_names: Sequence[str],
    feature_names: Sequence[str] = ("velocity", "control_cost"),
    observation_dim: int = 20,
    task_changes: TaskChanges = TaskChanges.REWARD,
) -> MetaEnvSpec:
    """The sizes and names of a half-cheetah environment; `diverged` is added to the features."""
    return robot_spec(name, 6, observation_dim, task_names, feature_names, task_changes)


class HalfCheetah(MujocoEnv):
    """Gymnasium's HalfCheetah-v5 with PEARL's observation (20 numbers).

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    single_observation_space = box(-np.inf, np.inf, 20)
    single_action_space = box(-1.0, 1.0, 6)
    position_noise = 0.1
    velocity_noise = 0.1

    def __init__(self, num_envs: int, seed: int = 0, threads: int | None = None, horizon: int | None = None) -> None:
        super().__init__(num_envs, seed, BatchedPhysics(load_model("half_cheetah.xml"), SUBSTEPS, threads), horizon)


class RunningCheetah(HalfCheetah):
    """A half-cheetah whose features begin with its forward velocity (m/s) and its control cost.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    def _features(self, move: Move) -> Features:
        before, after = self._physics.positions(move.before), self._physics.positions(move.after)
        features = np.zeros((len(after), self.meta_spec.feature_dim), np.float32)
        features[:, 0] = (after[:, 0] - before[:, 0]) / self._physics.dt
        features[:, 1] = CONTROL_COST * sums_of_squares(move.controls)
        return features

    def _observe(self) -> Tensor:
        motion = self._physics.motion(self._state)
        observation = np.zeros((self.num_envs, self.meta_spec.observation_dim), np.float32)
        observation[:, :-3], observation[:, -3] = motion[:, 1:], motion[:, 0]
        observation[:, -1] = motion[:, 1] + TORSO_HEIGHT
        return torch.from_numpy(observation)


class HalfCheetahVel(RunningCheetah):
    """Run at a hidden target velocity (Finn et al. 2017; PEARL, HFR, RoML).

    | | meaning | range |
    |---|---|---|
    | observation | 8 positions without x (m, rad), 9 velocities (m/s, rad/s), torso x, y, z (m) | unbounded |
    | action | 6 joint torques, in units of the motors' range | [-1, 1] |
    | task | target velocity, m/s | uniform in [0, max_velocity] |
    | features | forward velocity Δx/Δt (m/s), control cost, whether the simulation diverged | |

    Reward: −|v − v*| − 0.05‖a‖². Start: the standing pose, positions uniform within ±0.1,
    velocities normal with std 0.1. End: after 200 steps of 0.05 s; it never terminates.
    The dynamics are Gymnasium's HalfCheetah-v5.

    The control cost counts the action within its bounds. In the published VariBAD and RoML it counts the
    action as the policy gave it (six actions of 2 cost 1.2 a step there, 0.3 here), which pulls a policy's
    means back into the range; here nothing does. The observed place of the torso is that of the state; in
    the published environments it is one substep (0.01 s) old.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        max_velocity: largest target velocity, m/s: 3 in HFR's experiments, 7 in RoML's.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = cheetah_spec("HalfCheetahVel", ["velocity"])

    def __init__(
        self,
        num_envs: int,
        seed: int = 0,
        max_velocity: float = 3.0,
        threads: int | None = None,
        horizon: int | None = None,
    ) -> None:
        require(
            max_velocity > 0,
            "max_velocity",
            max_velocity,
            "it must be positive",
            "HFR uses 3, RoML 7 metres a second.",
            of=self,
        )
        self.task_distribution = UniformBox([0.0], [max_velocity])
        super().__init__(num_envs, seed, threads, horizon)

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        velocity, control_cost, diverged = features.unbind(-1)
        (target,) = tasks.unbind(-1)
        reward = (velocity - target).abs_().add_(control_cost).neg_()
        return Reward(reward, reward, spread(diverged.bool(), reward.shape))


class HalfCheetahVelSparse(RunningCheetah):
    """Find a hidden target velocity that only pays when nearly hit (HFR, Wan et al. 2022).

    | | meaning | range |
    |---|---|---|
    | observation | 8 positions without x (m, rad), 9 velocities (m/s, rad/s), torso x, y, z (m) | unbounded |
    | action | 6 joint torques, in units of the motors' range | [-1, 1] |
    | task | target velocity, m/s | uniform in [0, 3] |
    | features | forward velocity Δx/Δt (m/s), control cost, whether the simulation diverged | |

    Reward: 2 − |v − v*| within `goal_radius`, else 0; minus 0.05‖a‖². HFR's critics learn from this
    reward too, so there is no dense one. Start, end and dynamics: as HalfCheetahVel.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        goal_radius: largest |v − v*| that pays, m/s.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = cheetah_spec("HalfCheetahVelSparse", ["velocity"])
    task_distribution: TaskDistribution = UniformBox([0.0], [3.0])

    def __init__(
        self,
        num_envs: int,
        seed: int = 0,
        goal_radius: float = 0.3,
        threads: int | None = None,
        horizon: int | None = None,
    ) -> None:
        require(
            goal_radius > 0, "goal_radius", goal_radius, "it must be positive", "HFR uses 0.3 metres a second.", of=self
        )
        self.goal_radius = goal_radius
        super().__init__(num_envs, seed, threads, horizon)

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        velocity, control_cost, diverged = features.unbind(-1)
        error = (velocity - tasks[..., 0]).abs()
        reward = torch.where(error <= self.goal_radius, 2.0 - error, 0.0) - control_cost
        return Reward(reward, reward, spread(diverged.bool(), reward.shape))


class HalfCheetahDir(RunningCheetah):
    """Run as fast as possible, forward or backward (Finn et al. 2017; PEARL).

    | | meaning | range |
    |---|---|---|
    | observation | 8 positions without x (m, rad), 9 velocities (m/s, rad/s), torso x, y, z (m) | unbounded |
    | action | 6 joint torques, in units of the motors' range | [-1, 1] |
    | task | direction | −1 or 1, equally likely |
    | features | forward velocity Δx/Δt (m/s), control cost, whether the simulation diverged | |

    Reward: direction · v − 0.05‖a‖². Start, end and dynamics: as HalfCheetahVel.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = cheetah_spec("HalfCheetahDir", ["direction"])
    task_distribution: TaskDistribution = FiniteTasks([[-1.0], [1.0]])

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        velocity, control_cost, diverged = features.unbind(-1)
        reward = tasks[..., 0] * velocity - control_cost
        return Reward(reward, reward, spread(diverged.bool(), reward.shape))


class HalfCheetahHighDim(HalfCheetah):
    """Reach a hidden direction of the whole state space (HFR, Wan et al. 2022).

    | | meaning | range |
    |---|---|---|
    | observation | 9 positions (m, rad), 9 velocities (m/s, rad/s) | unbounded |
    | action | 6 joint torques, in units of the motors' range | [-1, 1] |
    | task | 18 weights on the normalized state | uniform in [-1, 1] |
    | features | 18 normalized state coordinates after the step, control cost, whether it diverged | |

    Reward: ⟨task, (s' − mean) / std⟩ − 0.05‖a‖², where s' is the observation after the step, and
    mean and std are those of HFR's cheetah-vel replay. Start, end and dynamics: as HalfCheetahVel.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        threads: native physics threads; None takes one per core.
        horizon: steps of an episode; None for the environment's own.
    """

    single_observation_space = box(-np.inf, np.inf, 18)
    meta_spec = cheetah_spec(
        "HalfCheetahHighDim",
        [f"weight_{coordinate}" for coordinate in range(18)],
        [*(f"state_{coordinate}" for coordinate in range(18)), "control_cost"],
        observation_dim=18,
    )
    task_distribution: TaskDistribution = UniformBox([-1.0] * 18, [1.0] * 18)

    def __init__(self, num_envs: int, seed: int = 0, threads: int | None = None, horizon: int | None = None) -> None:
        super().__init__(num_envs, seed, threads, horizon)
        statistics = json.loads(STATE_STATISTICS.read_text(encoding="utf-8"))
        self._mean, self._std = np.array(statistics["mean"]), np.array(statistics["std"])

    def _features(self, move: Move) -> Features:
        normalized = (self._physics.motion(move.after) - self._mean) / self._std
        return columns(*normalized.T, CONTROL_COST * sums_of_squares(move.controls))

    def _observe(self) -> Tensor:
        return joined(self._physics.motion(self._state))

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        state, control_cost, diverged = features[..., :-2], features[..., -2], features[..., -1]
        reward = (state * tasks).sum(-1) - control_cost
        return Reward(reward, reward, spread(diverged.bool(), reward.shape))
