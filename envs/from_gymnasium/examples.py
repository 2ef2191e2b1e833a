"""The environments of docs/your_environment.md whose tasks take some lines of Python."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.envs.mujoco.reacher_v5 import ReacherEnv
from gymnasium.wrappers import FilterObservation, TransformObservation
from torch import Tensor

from envs.from_gymnasium import Step


class CartPoleLength(CartPoleEnv):
    """CartPole-v1 with a pole of another length."""

    def set_length(self, half_length: float) -> None:
        """Set half of the pole's length, m, and what Gymnasium's environment has computed from it."""
        self.length = half_length
        self.polemass_length = self.masspole * half_length


class ReacherGoal(ReacherEnv):
    """Reacher-v5 with a given goal."""

    def set_goal(self, x: float, y: float) -> None:
        """Set the goal of the next episodes, m."""
        self.target = x, y

    def reset_model(self) -> Any:
        super().reset_model()  # type: ignore[no-untyped-call]
        self.set_state(np.r_[self.data.qpos[:2], self.target], self.data.qvel)  # type: ignore[no-untyped-call]
        return self._get_obs()  # type: ignore[no-untyped-call]


def hidden_goal(**arguments: Any) -> gymnasium.Env[Any, Any]:
    """A `ReacherGoal` that does not show its goal."""
    space = gymnasium.spaces.Box(-np.inf, np.inf, (6,))  # the other numbers contain the goal
    return TransformObservation(ReacherGoal(**arguments), lambda seen: seen[[0, 1, 2, 3, 6, 7]], space)


def reacher_features(step: Step) -> list[float]:
    """The fingertip's x and y, m, and the reward for small torques."""
    return [*step.env.unwrapped.get_body_com("fingertip")[:2], step.info["reward_ctrl"]]


def reacher_reward(features: Tensor, tasks: Tensor) -> Tensor:
    """Reacher-v5's reward: minus the fingertip's distance from the goal, and the reward for small torques."""
    distance: Tensor = (features[..., :2] - tasks).norm(dim=-1)
    return features[..., 2] - distance


class FetchReachGoal(gymnasium.Wrapper[Any, Any, Any, Any]):
    """gymnasium-robotics' FetchReachDense-v4 with a given goal, which is not observed."""

    def __init__(self, **arguments: Any) -> None:
        env = gymnasium.make("gymnasium_robotics:FetchReachDense-v4", **arguments)
        super().__init__(FilterObservation(env, ["observation"]))

    def set_goal(self, *goal: float) -> None:
        """Set the goal of the next episodes, m."""
        self.env.unwrapped._sample_goal = lambda: np.array(goal)  # type: ignore[attr-defined]


def fetch_features(step: Step) -> Any:
    """The gripper's position, m."""
    return step.env.unwrapped._get_obs()["achieved_goal"]


def fetch_reward(features: Tensor, tasks: Tensor) -> Tensor:
    """Minus the gripper's distance from the goal."""
    distance: Tensor = (features - tasks).norm(dim=-1)
    return -distance
