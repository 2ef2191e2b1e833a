"""Two bridges over an abyss: the near one is narrow, and there the steps are noisy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.base import Reward, batch_shape, box, never, spread
from envs.meta_env_spec import MetaEnvSpec, TaskChanges
from envs.navigation.planar import PlanarEnv
from envs.task_distributions import Exponential, TaskDistribution

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Plane = NDArray[np.float64]

WIDTH, HEIGHT = 11, 9
START = (0.5, 2.5)  # range of both coordinates
GOAL = np.array([2.0, 7.0])
ABYSS_ROWS = slice(3, 6)
NARROW_BRIDGE, WIDE_BRIDGE = slice(2, 3), slice(7, 10)
NARROW_REGION = (3.0, 2.5, 5.5)  # the steps are noisy where x < first, second < y < third
MOVES = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])
GOAL_BONUS, NOISE_COST = 5.0, 3.0
HORIZON = 32
LOWEST, HIGHEST = np.zeros(2), np.array([WIDTH - 1.0, HEIGHT - 1.0])
FREE, WALL, ABYSS, AT_GOAL = 0, 1, 2, 3


def _make_map() -> NDArray[np.int64]:
    cells = np.full((WIDTH, HEIGHT), FREE)
    cells[:, ABYSS_ROWS] = ABYSS
    cells[NARROW_BRIDGE, ABYSS_ROWS] = cells[WIDE_BRIDGE, ABYSS_ROWS] = FREE
    cells[[0, -1], :] = cells[:, [0, -1]] = WALL
    cells[tuple(GOAL.astype(np.intp))] = AT_GOAL
    return cells


MAP = _make_map()


def on_narrow_bridge(positions: Plane) -> NDArray[np.bool_]:
    """Whether steps from `positions` `[n, 2]` are noisy, `[n]`."""
    x, y = positions.T
    largest_x, lowest_y, highest_y = NARROW_REGION
    narrow: NDArray[np.bool_] = (x < largest_x) & (y > lowest_y) & (y < highest_y)
    return narrow


def cells_of(positions: Plane) -> NDArray[np.int64]:
    """What the map holds at `positions` `[n, 2]`: FREE, WALL, ABYSS or AT_GOAL, `[n]`."""
    column, row = np.rint(positions).astype(np.intp).T
    held: NDArray[np.int64] = MAP[column, row]
    return held


def move(positions: Plane, steps: Plane, slips: Plane) -> tuple[Plane, NDArray[np.int64]]:
    """A step from `positions`, `[n, 2]`; walls stop it.

    Args:
        positions: `[n, 2]`.
        steps: the intended moves, `[n, 2]`.
        slips: the noise, zero where there is none, `[n, 2]`.

    Returns:
        The positions after it, `[n, 2]`, and what the map holds where it led, `[n]`.
    """
    targets = np.minimum(np.maximum((positions + steps) + slips, LOWEST), HIGHEST)
    reached = cells_of(targets)
    return np.where((reached == WALL)[:, None], positions, targets), reached


def bilinear_one_hot(positions: Plane) -> NDArray[np.float32]:
    """The observation at `positions` `[n, 2]`: the weights of the four nearest cells, `[n, 99]`."""
    corners = positions.astype(np.intp)
    left, lower = (corners + 1 - positions).T
    first = corners[:, 0] * HEIGHT + corners[:, 1]
    rows = np.arange(len(positions))
    encoded = np.zeros((len(positions), WIDTH * HEIGHT), np.float32)
    encoded[rows, first] = left * lower
    encoded[rows, first + 1] = left * (1.0 - lower)
    encoded[rows, first + HEIGHT] = (1.0 - left) * lower
    encoded[rows, first + HEIGHT + 1] = (1.0 - left) * (1.0 - lower)
    return encoded


class KhazadDum(PlanarEnv):
    """Cross an abyss by a short narrow bridge, risky when steps are noisy, or by a long safe one (RoML,
    Greenberg et al. 2023).

    | | meaning | range |
    |---|---|---|
    | observation | bilinear one-hot of the position over the 11 × 9 cells (99 numbers) | [0, 1] |
    | action | one of: left, right, down, up (with `continuous`: the step along x, y) | one-hot of 4 ([-1, 1]) |
    | task | motion noise | exponential with mean 0.1 |
    | features | reward without the cost of noise (times 32), whether the step was noisy, whether at the goal | |

    A wall surrounds the grid; moves into it do nothing. The abyss fills rows 3 to 5 except a narrow
    bridge, column 2, and a wide one, columns 7 to 9; a cell's coordinates are rounded positions. A step
    from the narrow bridge (x < 3, 2.5 < y < 5.5), and only such a step, adds N(0, (noise · length²)²)
    to each coordinate, length being that of the step.

    Reward, divided by 32: max(−‖p − goal‖₁ / 5, −1), minus 3 · noise on noisy steps, plus 5 on reaching the
    goal cell (2, 7); after that 0 a step. After a fall into the abyss −1 a step. Success: at the goal.
    Start: uniform in [0.5, 2.5]². End: after 32 steps.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        continuous: whether an action is a step of any direction and length instead of one of four moves.
        horizon: steps of an episode; None for the environment's own. Rewards are divided by 32 in any case.
    """

    single_observation_space = box(0.0, 1.0, WIDTH * HEIGHT)
    single_action_space: Any = gymnasium.spaces.Discrete(len(MOVES))
    meta_spec = MetaEnvSpec(
        name="KhazadDum",
        observation_dim=WIDTH * HEIGHT,
        action_dim=len(MOVES),
        task_names=("noise",),
        feature_names=("noiseless_reward", "noisy", "at_goal"),
        horizon=HORIZON,
        task_changes=TaskChanges.BOTH,
        discrete_actions=True,
    )
    task_distribution: TaskDistribution = Exponential(0.1)

    def __init__(self, num_envs: int, seed: int = 0, continuous: bool = False, horizon: int | None = None) -> None:
        if continuous:
            self.single_action_space = box(-1.0, 1.0, 2)
            self.meta_spec = replace(self.meta_spec, action_dim=2, discrete_actions=False)
        super().__init__(num_envs, seed, horizon)
        self._position = np.ones((num_envs, 2))
        self._at_goal = np.zeros(num_envs, np.bool_)
        self._fallen = np.zeros(num_envs, np.bool_)

    def _start(self, env_ids: Tensor) -> None:
        unit = torch.rand(len(env_ids), 2, generator=self.generator, dtype=torch.float64).numpy()
        rows = env_ids.numpy()
        self._position[rows] = START[0] + (START[1] - START[0]) * unit
        self._at_goal[rows] = self._fallen[rows] = False
        self._begin_path(env_ids, torch.from_numpy(self._position[rows]).float())

    def _simulate(self, actions: Tensor, env_ids: Tensor) -> Tensor:
        rows = env_ids.numpy()
        noise = self.tasks.numpy()[rows, 0].astype(np.float64)
        given = actions.numpy()
        steps = MOVES[given.argmax(-1)] if self.meta_spec.discrete_actions else given.astype(np.float64)
        draws = torch.randn(len(rows), 2, generator=self.generator, dtype=torch.float64).numpy()
        before, was_at_goal, had_fallen = self._position[rows], self._at_goal[rows], self._fallen[rows]
        moving = ~(was_at_goal | had_fallen)
        noisy = moving & (noise > 0) & on_narrow_bridge(before)
        slips = (noisy * noise * np.square(steps).sum(-1))[:, None] * draws
        moved, reached = move(before, steps, slips)
        after = np.where(moving[:, None], moved, before)
        at_goal = was_at_goal | (moving & (reached == AT_GOAL))
        self._position[rows], self._at_goal[rows] = after, at_goal
        self._fallen[rows] = had_fallen | (moving & (reached == ABYSS))
        near = np.maximum(-np.abs(after - GOAL).sum(-1) / 5.0, -1.0) + GOAL_BONUS * at_goal
        features = np.empty((len(rows), 3), np.float32)
        features[:, 0] = np.where(moving, near, -1.0 * had_fallen)
        features[:, 1], features[:, 2] = noisy, at_goal
        self._extend_path(env_ids, torch.from_numpy(after).float())
        return torch.from_numpy(features)

    def _observe(self) -> Tensor:
        return torch.from_numpy(bilinear_one_hot(self._position))

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        noiseless, noisy, _ = features.unbind(-1)
        reward = (noiseless - NOISE_COST * tasks[..., 0] * noisy) / HORIZON
        return Reward(reward, reward, never(reward))

    def success(self, features: Tensor, tasks: Tensor) -> Tensor:
        return spread(features[..., 2] > 0, batch_shape(features, tasks))

    def _plot_scene(self, axes: Axes, task: list[float]) -> None:
        colors = np.array([[1.0, 1.0, 1.0], [0.5, 0.5, 0.5], [0.1, 0.1, 0.1], [1.0, 1.0, 1.0]])
        axes.imshow(colors[MAP].swapaxes(0, 1), origin="lower")
        axes.plot(*GOAL, color="tab:green", marker="*", markersize=14)
        axes.set_title(f"KhazadDum, noise {task[0]:.2f}")

    def _simulation_state(self) -> dict[str, Tensor]:
        own = {"position": self._position, "at_goal": self._at_goal, "fallen": self._fallen}
        return {**super()._simulation_state(), **{key: torch.from_numpy(value) for key, value in own.items()}}

    def _load_simulation_state(self, state: dict[str, Tensor]) -> None:
        super()._load_simulation_state(state)
        self._position, self._at_goal, self._fallen = (state[key].numpy() for key in ("position", "at_goal", "fallen"))
