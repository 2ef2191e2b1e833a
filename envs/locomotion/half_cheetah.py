"""Half-cheetah worlds."""

from __future__ import annotations

from pathlib import Path

import gymnasium.envs.mujoco
import mujoco
import numpy as np
import torch
from torch import Tensor

from envs.base import MetaEnv, Reward, TaskChanges, WorldSpec, box
from envs.errors import require
from envs.physics import BatchedPhysics
from envs.task_distributions import UniformBox

MODEL_FILE = Path(gymnasium.envs.mujoco.__file__).parent / "assets" / "half_cheetah.xml"
SUBSTEPS = 5
CONTROL_COST = 0.05
RESET_NOISE = 0.1
TORSO_HEIGHT = 0.7  # of the torso's frame above its root joint, in the model file


class HalfCheetahVel(MetaEnv):
    """Run at a hidden target velocity (Finn et al. 2017; PEARL, HFR, RoML).

    | | meaning | range |
    |---|---|---|
    | observation | 8 positions without x (m, rad), 9 velocities (m/s, rad/s), torso x, y, z (m) | unbounded |
    | action | 6 joint torques, in units of the motors' range | [-1, 1] |
    | task | target velocity, m/s | uniform in [0, max_velocity] |
    | features | forward velocity Δx/Δt (m/s), control cost | |

    Reward: −|v − v*| − 0.05‖a‖². Start: the standing pose, positions uniform within ±0.1,
    velocities normal with deviation 0.1. End: after 200 steps of 0.05 s; it never terminates.
    The dynamics are Gymnasium's HalfCheetah-v5.

    Args:
        num_envs: number of copies.
        seed: seed of the world's own random generator.
        max_velocity: largest target velocity, m/s: 3 in HFR's experiments, 7 in RoML's.
        threads: native physics threads; None takes one per core.
    """

    single_observation_space = box(-np.inf, np.inf, 20)
    single_action_space = box(-1.0, 1.0, 6)
    world = WorldSpec(
        name="HalfCheetahVel",
        observation_dim=20,
        action_dim=6,
        task_names=("velocity",),
        feature_names=("velocity", "control_cost"),
        horizon=200,
        task_changes=TaskChanges.REWARD,
    )

    def __init__(self, num_envs: int, seed: int = 0, max_velocity: float = 3.0, threads: int | None = None) -> None:
        require(
            max_velocity > 0, "max_velocity", max_velocity, "it must be positive", "HFR uses 3, RoML 7 metres a second."
        )
        self.task_distribution = UniformBox([0.0], [max_velocity])
        super().__init__(num_envs, seed)
        self._physics = BatchedPhysics(mujoco.MjModel.from_xml_path(str(MODEL_FILE)), SUBSTEPS, threads)
        self._state = np.tile(self._physics.initial_state, (num_envs, 1))

    def _start(self, copies: Tensor) -> None:
        model, number = self._physics.model, len(copies)
        unit = torch.rand(number, model.nq, generator=self.generator, dtype=torch.float64).numpy()
        normal = torch.randn(number, model.nv, generator=self.generator, dtype=torch.float64).numpy()
        state = np.tile(self._physics.initial_state, (number, 1))
        self._physics.positions(state)[:] += RESET_NOISE * (2.0 * unit - 1.0)
        self._physics.velocities(state)[:] += RESET_NOISE * normal
        self._state[copies.numpy()] = state

    def _simulate(self, actions: Tensor, copies: Tensor) -> Tensor:
        controls = actions.double().numpy()
        rows = copies.numpy()
        before = self._state[rows]
        after = self._physics.advance(before, controls)
        self._state[rows] = after
        moved = self._physics.positions(after)[:, 0] - self._physics.positions(before)[:, 0]
        cost = CONTROL_COST * np.square(controls).sum(-1)
        return torch.from_numpy(np.stack((moved / self._physics.dt, cost), -1)).float()

    def _observe(self) -> Tensor:
        positions = self._physics.positions(self._state)
        torso = np.stack((positions[:, 0], np.zeros(self.num_envs), TORSO_HEIGHT + positions[:, 1]), -1)
        velocities = self._physics.velocities(self._state)
        return torch.from_numpy(np.concatenate((positions[:, 1:], velocities, torso), -1)).float()

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        velocity, control_cost = features.unbind(-1)
        reward = -(velocity - tasks[..., 0]).abs() - control_cost
        return Reward(reward, reward, torch.zeros_like(reward, dtype=torch.bool))

    def _simulation_state(self) -> dict[str, Tensor]:
        return {"physics": torch.from_numpy(self._state)}

    def _load_simulation_state(self, state: dict[str, Tensor]) -> None:
        self._state = state["physics"].numpy()
