"""What the navigation environments share: the path of each sub-environment, and pictures of it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.base import MetaEnv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARGIN = 0.1
"""Between a path that leaves the scene and the picture's edge."""


class PlanarEnv(MetaEnv):
    """An environment whose sub-environments have a position in the plane and remember the episode's path."""

    def __init__(self, num_envs: int, seed: int = 0, horizon: int | None = None) -> None:
        super().__init__(num_envs, seed, horizon)
        self._path = torch.full((num_envs, self.meta_spec.horizon + 1, 2), torch.nan)

    @abstractmethod
    def _plot_scene(self, axes: Axes, task: list[float]) -> None:
        """Set the limits of `axes` and draw what stands still: walls, traps and the goal of `task`."""

    def _begin_path(self, env_ids: Tensor, positions: Tensor) -> None:
        """Record where the sub-environments `env_ids` (indices) start, `[len(env_ids), 2]`."""
        self._path[env_ids] = torch.nan
        self._path[env_ids, 0] = positions

    def _extend_path(self, env_ids: Tensor, positions: Tensor) -> None:
        """Record where the step took the sub-environments `env_ids` (indices), `[len(env_ids), 2]`."""
        rows = env_ids.numpy()
        self._path.numpy()[rows, self._elapsed[rows] + 1] = positions.numpy()

    def render_frame(self, env_id: int) -> NDArray[np.uint8]:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import: only for those who ask
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.0, 4.0), dpi=80, layout="tight")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot(aspect="equal", title=self.meta_spec.name)
        self._plot_scene(axes, self.tasks[env_id].tolist())
        path = self._path[env_id]
        path = path[~path.isnan().any(-1)]
        if len(path):
            _include(axes, path.numpy())
            axes.plot(*path.T.numpy(), color="tab:blue", marker=".")
            axes.plot(*path[-1].numpy(), color="tab:blue", marker="o", markersize=9)
        canvas.draw()  # type: ignore[no-untyped-call]
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]

    def _simulation_state(self) -> dict[str, Tensor]:
        return {"path": self._path}

    def _load_simulation_state(self, state: dict[str, Tensor]) -> None:
        self._path = state["path"]


def _include(axes: Axes, path: NDArray[np.float32]) -> None:
    """Widen the limits of `axes` until they hold `path` `[time, 2]`."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    (low_x, low_y), (high_x, high_y) = path.min(0) - MARGIN, path.max(0) + MARGIN
    axes.set(xlim=(min(left, low_x), max(right, high_x)), ylim=(min(bottom, low_y), max(top, high_y)))
