"""Point robots in the plane: the smallest environments that show adaptation."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from envs.base import EvaluationPurpose, Reward, box, never
from envs.errors import require_positive_and_finite
from envs.meta_env_spec import MetaEnvSpec, TaskChanges
from envs.navigation.planar import PlanarEnv
from envs.task_distributions import DealtTasks, FiniteTasks, HalfCircle, TaskDistribution, UniformBox

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_MOVE = 0.1
CORNERS = [[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]


class PlanarPoint(PlanarEnv):
    """A point that moves by up to `MAX_MOVE` per axis and step; its features are its position."""

    single_observation_space = box(-np.inf, np.inf, 2)
    single_action_space = box(-MAX_MOVE, MAX_MOVE, 2)

    def __init__(self, num_envs: int, seed: int = 0, horizon: int | None = None) -> None:
        super().__init__(num_envs, seed, horizon)
        self._position = torch.zeros(num_envs, 2)

    def _start_positions(self, number: int) -> Tensor:
        """Where `number` sub-environments start, `[number, 2]`."""
        return torch.zeros(number, 2)

    def _start(self, env_ids: Tensor) -> None:
        self._position[env_ids] = self._start_positions(len(env_ids))
        self._begin_path(env_ids, self._position[env_ids])

    def _simulate(self, actions: Tensor, env_ids: Tensor) -> Tensor:
        positions = self._position[env_ids] + actions
        self._position[env_ids] = positions
        self._extend_path(env_ids, positions)
        return positions

    def _observe(self) -> Tensor:
        return self._position.clone()

    def _plot_scene(self, axes: Axes, task: list[float]) -> None:
        axes.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
        axes.plot(*task, color="tab:green", marker="*", markersize=14)

    def _simulation_state(self) -> dict[str, Tensor]:
        return {**super()._simulation_state(), "position": self._position}

    def _load_simulation_state(self, state: dict[str, Tensor]) -> None:
        super()._load_simulation_state(state)
        self._position = state["position"]


def _point_spec(name: str) -> MetaEnvSpec:
    return MetaEnvSpec(
        name=name,
        observation_dim=2,
        action_dim=2,
        task_names=("goal_x", "goal_y"),
        feature_names=("x", "y"),
        horizon=20,
        task_changes=TaskChanges.REWARD,
    )


def _distance(positions: Tensor, goals: Tensor) -> Tensor:
    distance: Tensor = torch.linalg.vector_norm(positions - goals, dim=-1)
    return distance


class PointRobot(PlanarPoint):
    """Move to a hidden goal in the square (PEARL, Rakelly et al. 2019).

    | | meaning | range |
    |---|---|---|
    | observation | position x, y | unbounded |
    | action | move along x, y | [-0.1, 0.1] |
    | task | goal x, y | uniform in [-1, 1]² |
    | features | position after the move | |

    Reward: minus the distance to the goal. Start: uniform in [-1, 1]². End: after 20 steps.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = _point_spec("PointRobot")
    task_distribution: TaskDistribution = UniformBox([-1.0, -1.0], [1.0, 1.0])

    def _start_positions(self, number: int) -> Tensor:
        return 2.0 * torch.rand(number, 2, generator=self.generator) - 1.0

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        reward = -_distance(features, tasks)
        return Reward(reward, reward, never(reward))


class SparsePointRobot(PlanarPoint):
    """Find a hidden goal on a half circle around the start (PEARL, Rakelly et al. 2019).

    | | meaning | range |
    |---|---|---|
    | observation | position x, y | unbounded |
    | action | move along x, y | [-0.1, 0.1] |
    | task | goal x, y | uniform on the upper half circle of radius `goal_distance` |
    | features | position after the move | |

    Reward: minus the distance to the goal; the sparse reward is 1 minus the distance within
    `goal_radius`, else 0. Without `shaped`, both are the sparse one. Success: within the radius. Start: the origin.
    End: after 20 steps. PEARL's code spaces its goals evenly on the half circle; here they are independent.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        goal_radius: distance within which the sparse reward is paid.
        goal_distance: distance of every goal from the start.
        shaped: whether critics learn from the distance to the goal; otherwise from the sparse reward, as the belief.
        horizon: steps of an episode; None for the environment's own.
        left_goal_radius: `goal_radius` of the goals in the leftmost quarter of the half circle: a smaller one makes
            them hard to find. None for `goal_radius`.
    """

    meta_spec = _point_spec("SparsePointRobot")

    def __init__(
        self,
        num_envs: int,
        seed: int = 0,
        goal_radius: float = 0.2,
        goal_distance: float = 1.0,
        shaped: bool = True,
        horizon: int | None = None,
        left_goal_radius: float | None = None,
    ) -> None:
        left_goal_radius = goal_radius if left_goal_radius is None else left_goal_radius
        require_positive_and_finite("goal_radius", goal_radius, "PEARL uses 0.2.", of=self)
        require_positive_and_finite("left_goal_radius", left_goal_radius, "null is goal_radius.", of=self)
        require_positive_and_finite("goal_distance", goal_distance, "PEARL uses 1.", of=self)
        self.task_distribution = HalfCircle(goal_distance)
        super().__init__(num_envs, seed, horizon)
        self.goal_radius, self.left_goal_radius = goal_radius, left_goal_radius
        self.shaped = shaped
        self._left = -goal_distance * math.sqrt(0.5)  # goals with a smaller x are in the leftmost quarter
        self._warn_of_goals_out_of_reach(goal_distance - min(goal_radius, left_goal_radius))

    def _warn_of_goals_out_of_reach(self, way: float) -> None:
        """Warn if a goal along an axis, `way` from the start to its edge, takes more steps than an episode has."""
        steps = math.ceil(round(way / MAX_MOVE, 4))
        if steps > self.meta_spec.horizon:
            warnings.warn(
                f"SparsePointRobot: some goals need {steps} steps, and an episode has {self.meta_spec.horizon}. "
                "Reduce goal_distance, or increase goal_radius or horizon.",
                stacklevel=3,
            )

    def _radii(self, tasks: Tensor) -> Tensor | float:
        """Distance within which the sparse reward is paid under `tasks` `[..., 2]`."""
        if self.left_goal_radius == self.goal_radius:
            return self.goal_radius
        return torch.where(tasks[..., 0] < self._left, self.left_goal_radius, self.goal_radius)

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        distance = _distance(features, tasks)
        sparse = torch.where(distance <= self._radii(tasks), 1.0 - distance, 0.0)
        return Reward(-distance if self.shaped else sparse, sparse, never(distance))

    def success(self, features: Tensor, tasks: Tensor) -> Tensor:
        return _distance(features, tasks) <= self._radii(tasks)

    def _plot_scene(self, axes: Axes, task: list[float]) -> None:
        from matplotlib.patches import Circle

        super()._plot_scene(axes, task)
        radius = float(self._radii(torch.tensor(task)))
        axes.add_patch(Circle((task[0], task[1]), radius, color="tab:green", alpha=0.2))


class FourCorners(PlanarPoint):
    """Find which corner is the goal, with a trap on the way (HFR, Wan et al. 2022).

    | | meaning | range |
    |---|---|---|
    | observation | position x, y | unbounded |
    | action | move along x, y | [-0.1, 0.1] |
    | task | goal corner x, y | uniform over (±1, ±1) |
    | features | position after the move | |

    Reward: −1 a step; −3 in the box |x|, |y| ∈ (0.1, 0.5) of the goal's own quadrant; 0 at the
    goal. The short way is a trap, and only it tells the tasks apart. Success and end: within 0.2
    of the goal. Start: the origin. Cut off after 20 steps.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        horizon: steps of an episode; None for the environment's own.
    """

    meta_spec = _point_spec("FourCorners")
    task_distribution: TaskDistribution = FiniteTasks(CORNERS)
    goal_radius: ClassVar[float] = 0.2
    trap: ClassVar[tuple[float, float]] = (0.1, 0.5)

    def evaluation_tasks(self, purpose: EvaluationPurpose) -> TaskDistribution:
        """Every corner as often as the others, as far as their number allows: of four tasks, each is another corner."""
        return DealtTasks(CORNERS, groups=[0, 1, 2, 3])

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        at_goal = self.success(features, tasks)
        toward_goal = features * tasks  # both coordinates positive: the goal's own quadrant
        inner, outer = self.trap
        in_trap = ((toward_goal > inner) & (toward_goal < outer)).all(-1)
        reward = torch.where(at_goal, 0.0, torch.where(in_trap, -3.0, -1.0))
        return Reward(reward, reward, at_goal)

    def success(self, features: Tensor, tasks: Tensor) -> Tensor:
        return _distance(features, tasks) <= self.goal_radius

    def _plot_scene(self, axes: Axes, task: list[float]) -> None:
        super()._plot_scene(axes, task)
        inner, outer = self.trap
        (left, right), (low, high) = ((inner, outer) if side > 0 else (-outer, -inner) for side in task)
        axes.fill_between([left, right], low, high, color="tab:red", alpha=0.4)
