"""A gridworld with a hidden goal cell."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import gymnasium
import torch
from torch import Tensor

from envs.base import Reward, box, never
from envs.meta_env_spec import MetaEnvSpec, TaskChanges
from envs.navigation.planar import PlanarEnv
from envs.task_distributions import FiniteTasks, TaskDistribution

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELLS = 5
MOVES = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]])
STEP_REWARD, GOAL_REWARD = -0.1, 1.0
EVERY_CELL = tuple((float(x), float(y)) for x, y in product(range(CELLS), repeat=2))
GOALS = [[x, y] for x, y in EVERY_CELL if max(x, y) > 1]


class GridNavi(PlanarEnv):
    """Search a 5×5 grid for a hidden goal cell (VariBAD, Zintgraf et al. 2020).

    | | meaning | range |
    |---|---|---|
    | observation | cell x, y | 0 to 4 |
    | action | one of: stay, up, right, down, left | one-hot of 5 |
    | task | goal cell x, y | uniform over the 21 cells further than one (also diagonal) step from the start |
    | features | cell x, y after the move | |

    Reward: 1 on the goal, else −0.1, in every step. Moves over the edge do nothing. Success: on the
    goal. Start: cell (0, 0). End: after 15 steps.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        horizon: steps of an episode; None for the environment's own.
    """

    single_observation_space = box(0.0, CELLS - 1.0, 2)
    single_action_space = gymnasium.spaces.Discrete(len(MOVES))
    meta_spec = MetaEnvSpec(
        name="GridNavi",
        observation_dim=2,
        action_dim=len(MOVES),
        task_names=("goal_x", "goal_y"),
        feature_names=("x", "y"),
        horizon=15,
        task_changes=TaskChanges.REWARD,
        discrete_actions=True,
        states=EVERY_CELL,
    )
    task_distribution: TaskDistribution = FiniteTasks(GOALS)

    def __init__(self, num_envs: int, seed: int = 0, horizon: int | None = None) -> None:
        super().__init__(num_envs, seed, horizon)
        self._cell = torch.zeros(num_envs, 2)

    def _start(self, env_ids: Tensor) -> None:
        self._cell[env_ids] = 0.0
        self._begin_path(env_ids, self._cell[env_ids])

    def _simulate(self, actions: Tensor, env_ids: Tensor) -> Tensor:
        cells = (self._cell[env_ids] + MOVES[actions.argmax(-1)]).clamp(0.0, CELLS - 1.0)
        self._cell[env_ids] = cells
        self._extend_path(env_ids, cells)
        return cells

    def _observe(self) -> Tensor:
        return self._cell.clone()

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        reward = torch.where(self.success(features, tasks), GOAL_REWARD, STEP_REWARD)
        return Reward(reward, reward, never(reward))

    def success(self, features: Tensor, tasks: Tensor) -> Tensor:
        return (features == tasks).all(-1)

    def _plot_scene(self, axes: Axes, task: list[float]) -> None:
        edges = [cell - 0.5 for cell in range(CELLS + 1)]
        axes.set(xlim=(edges[0], edges[-1]), ylim=(edges[0], edges[-1]))
        axes.hlines(edges, edges[0], edges[-1], color="0.7")
        axes.vlines(edges, edges[0], edges[-1], color="0.7")
        axes.plot(*task, color="tab:green", marker="*", markersize=14)

    def _simulation_state(self) -> dict[str, Tensor]:
        return {**super()._simulation_state(), "cell": self._cell}

    def _load_simulation_state(self, state: dict[str, Tensor]) -> None:
        super()._load_simulation_state(state)
        self._cell = state["cell"]
