"""Pictures of MuJoCo states, drawn off-screen."""

from __future__ import annotations

import atexit
import importlib
import os
import sys

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.errors import ConfigurationError
from envs.opengl import VARIABLE

WIDTH, HEIGHT = 480, 360
MOST_RENDERERS = 4  # of different models at a time; 100 MB each
CAMERAS = ("track", "topview")  # of Gymnasium's robots and of Meta-World's table


LIBRARIES = {"egl": "mujoco.egl", "osmesa": "mujoco.osmesa", "glfw": "mujoco.glfw", "glx": "mujoco.glfw"}
ON, OFF = {"", "enable", "enabled", "on", "true", "1"}, {"disable", "disabled", "off", "false", "0"}  # as MuJoCo reads


class CannotRender(ConfigurationError, RuntimeError):
    """No OpenGL library draws off-screen on this machine.

    Args:
        chosen: the value of MUJOCO_GL; empty where there is none.
        reasons: what became of each library that was tried.
    """

    def __init__(self, chosen: str, reasons: list[str]) -> None:
        self.key = VARIABLE
        RuntimeError.__init__(
            self,
            f"MuJoCo cannot draw off-screen with {VARIABLE}={chosen or '(not set)'}: {'; '.join(reasons)}. Install a "
            "library (Debian and Ubuntu: `apt install libegl1 libgl1`, or `libosmesa6` for software rendering), and "
            f"leave {VARIABLE} out or set it to egl or osmesa before Python starts.",
        )


def _libraries(chosen: str) -> list[str]:
    """The libraries to try in turn: the one that was chosen, or those that need no screen before those that do."""
    if chosen not in ON:
        return [chosen]
    has_screen = bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
    return ["egl", "glfw"] if has_screen else ["egl"]


def _first_renderer(model: mujoco.MjModel) -> mujoco.Renderer:
    """A renderer with the first library that works, which all later ones then use.

    Raises:
        CannotRender: if there is none.
    """
    chosen = os.environ.get(VARIABLE, "").lower().strip()
    if chosen in OFF:
        raise CannotRender(chosen, ["it turns drawing off"])
    if sys.platform != "linux":
        return mujoco.Renderer(model, HEIGHT, WIDTH)  # the system has its own library
    mujoco.Renderer._mjr_context = None  # of a renderer that fails on the way: its end would fail as well
    reasons = []
    for name in _libraries(chosen):
        if name not in LIBRARIES:
            raise CannotRender(chosen, [f"known libraries are {', '.join(LIBRARIES)}"])
        try:
            mujoco.gl_context.GLContext = importlib.import_module(LIBRARIES[name]).GLContext
            return mujoco.Renderer(model, HEIGHT, WIDTH)
        except Exception as error:  # what a missing library raises differs by library and by version
            reasons.append(f"{name} failed ({type(error).__name__}: {error})")
    raise CannotRender(chosen, reasons)


_renderers: dict[mujoco.MjModel, mujoco.Renderer] = {}  # the oldest first


def _renderer(model: mujoco.MjModel) -> mujoco.Renderer:
    """The renderer of a model; making one takes longer than several pictures."""
    if model not in _renderers:
        if len(_renderers) == MOST_RENDERERS:
            _renderers.pop(next(iter(_renderers))).close()
        _renderers[model] = mujoco.Renderer(model, HEIGHT, WIDTH) if _renderers else _first_renderer(model)
        if len(_renderers) == 1:
            atexit.register(_close_renderers)  # before the GL library leaves, which the first renderer has registered
    return _renderers[model]


def _close_renderers() -> None:
    while _renderers:
        _renderers.popitem()[1].close()


def render_state(model: mujoco.MjModel, positions: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A picture of `model` at `positions` `[nq]`, `[HEIGHT, WIDTH, 3]`.

    Raises:
        CannotRender: if no OpenGL library can draw off-screen on this machine.
    """
    data = mujoco.MjData(model)
    data.qpos[:] = positions
    mujoco.mj_forward(model, data)
    renderer = _renderer(model)
    cameras = [name for name in CAMERAS if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, name) >= 0]
    renderer.update_scene(data, camera=cameras[0] if cameras else -1)
    return np.array(renderer.render())
