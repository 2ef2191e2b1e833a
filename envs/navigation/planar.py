"""What the navigation environments share: the path of each sub-environment, and pictures of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.base import MetaEnv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLACE = (0.12, 0.08, 0.84, 0.84)
"""Of the axes in a picture: left, bottom, width and height, as shares of it; layout engines are slow."""
MARGIN, GRID = 0.1, 0.5
"""A path that leaves the scene keeps `MARGIN` from the picture's edge, which moves outward by steps of `GRID`."""


class PlanarEnv(MetaEnv):
    """An environment whose sub-environments have a position in the plane and remember the episode's path."""

    def __init__(self, num_envs: int, seed: int = 0, horizon: int | None = None) -> None:
        super().__init__(num_envs, seed, horizon)
        self._trusted = type(self).__module__.startswith(f"{__package__}.")  # our own return new, finite tensors
        self._path = torch.full((num_envs, self.meta_spec.horizon + 1, 2), torch.nan)
        self._scene: _Scene | None = None  # of the last picture

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
        task = self.tasks[env_id].tolist()
        if self._scene is None or self._scene.task != task:
            self._scene = _Scene(task, self._plot_scene, self.meta_spec.name)
        path = self._path[env_id]
        return self._scene.with_path(path[~path.isnan().any(-1)].numpy())

    def _simulation_state(self) -> dict[str, Tensor]:
        return {"path": self._path}

    def _load_simulation_state(self, state: dict[str, Tensor]) -> None:
        self._path = state["path"]


class _Scene:
    """A picture of what stands still under a task, drawn once, over which paths are drawn.

    Args:
        task: whose goal is shown.
        plot: draws it, given axes and the task.
        title: above the picture, unless `plot` sets another.
    """

    def __init__(self, task: list[float], plot: Callable[[Axes, list[float]], None], title: str) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import: only for those who ask
        from matplotlib.figure import Figure

        self.task = task
        self._figure = Figure(figsize=(4.0, 4.0), dpi=80)
        self._canvas = FigureCanvasAgg(self._figure)
        self._axes = self._figure.add_axes(PLACE, aspect="equal", title=title)
        plot(self._axes, task)
        self._limits = np.array([self._axes.get_xlim(), self._axes.get_ylim()]).T  # low and high corner, `[2, 2]`
        (self._steps,) = self._axes.plot([], [], color="tab:blue", marker=".", animated=True)
        (self._place,) = self._axes.plot([], [], color="tab:blue", marker="o", markersize=9, animated=True)
        self._drawn: tuple[list[list[float]], Any] | None = None  # limits, and the picture without a path

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """A copied environment draws its own scene: what is drawn cannot be copied."""
        return type(None), ()

    def with_path(self, path: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The picture with `path` `[time, 2]`, `[height, width, 3]`; its limits are wide enough for the path."""
        low, high = self._limits
        if len(path):  # by large steps, so that the axes of a film rarely move
            low_needed, high_needed = path.min(0) - MARGIN, path.max(0) + MARGIN
            low = np.where(low_needed < low, np.floor(low_needed / GRID) * GRID, low)
            high = np.where(high_needed > high, np.ceil(high_needed / GRID) * GRID, high)
        limits = [low.tolist(), high.tolist()]
        if self._drawn is None or self._drawn[0] != limits:
            self._axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
            self._canvas.draw()  # type: ignore[no-untyped-call]
            self._drawn = limits, self._canvas.copy_from_bbox(self._figure.bbox)  # type: ignore[no-untyped-call]
        self._canvas.restore_region(self._drawn[1])  # type: ignore[no-untyped-call]
        for line, points in ((self._steps, path), (self._place, path[-1:])):
            line.set_data(*points.T)
            self._axes.draw_artist(line)
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]
