"""Pictures of MuJoCo states, drawn off-screen."""

from __future__ import annotations

import atexit
import os
import sys

import mujoco
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 480, 360
MOST_RENDERERS = 4  # of different models at a time; 100 MB each
CAMERAS = ("track", "topview")  # of Gymnasium's robots and of Meta-World's table


def _use_off_screen_library() -> None:
    """Without a screen, draw with EGL unless MUJOCO_GL chose a library: MuJoCo's default needs a screen."""
    if sys.platform == "linux" and not {"DISPLAY", "MUJOCO_GL"} & os.environ.keys():
        from mujoco.egl import GLContext

        mujoco.gl_context.GLContext = GLContext


_renderers: dict[mujoco.MjModel, mujoco.Renderer] = {}  # the oldest first


def _renderer(model: mujoco.MjModel) -> mujoco.Renderer:
    """The renderer of a model; making one takes longer than several pictures."""
    if model not in _renderers:
        _use_off_screen_library()
        if len(_renderers) == MOST_RENDERERS:
            _renderers.pop(next(iter(_renderers))).close()
        _renderers[model] = mujoco.Renderer(model, HEIGHT, WIDTH)
        if len(_renderers) == 1:
            atexit.register(_close_renderers)  # before the GL library leaves, which the first renderer has registered
    return _renderers[model]


def _close_renderers() -> None:
    while _renderers:
        _renderers.popitem()[1].close()


def draw_state(model: mujoco.MjModel, positions: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A picture of `model` at `positions` `[nq]`, `[HEIGHT, WIDTH, 3]`.

    Raises:
        RuntimeError: if no GL library can draw off-screen on this machine.
    """
    data = mujoco.MjData(model)
    data.qpos[:] = positions
    mujoco.mj_forward(model, data)
    try:
        renderer = _renderer(model)
    except Exception as error:  # what a missing library raises differs by library and by version
        raise RuntimeError(
            "MuJoCo found no GL library that draws off-screen. Install one (Debian and Ubuntu: "
            "`apt install libegl1 libgl1`, or `libosmesa6` for software rendering) and set the environment "
            "variable MUJOCO_GL to egl or osmesa before Python starts."
        ) from error
    cameras = [name for name in CAMERAS if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, name) >= 0]
    renderer.update_scene(data, camera=cameras[0] if cameras else -1)
    return np.array(renderer.render())
