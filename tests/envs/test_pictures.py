"""Every environment can be rendered."""

from __future__ import annotations

import copy
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable

import gymnasium
import mujoco
import numpy as np
import pytest
import torch

from envs import ENVIRONMENTS, ConfigurationError, HalfCheetahVel, MetaEnv, SparsePointRobot
from envs.locomotion import pictures
from envs.locomotion.pictures import MOST_RENDERERS, render_state

# Pictures of the arm take seconds each; one is drawn in envs/manipulation.
DRAWN = [env_class for env_class in ENVIRONMENTS if not env_class.__module__.startswith("envs.manipulation")]


@pytest.mark.parametrize("env_class", DRAWN, ids=lambda env: env.__name__)
def test_a_picture_shows_something_and_the_state(env_class: type[MetaEnv]) -> None:
    env = env_class(2, seed=0)
    env.reset()
    try:
        pictures = env.render()
    except RuntimeError as error:
        pytest.skip(str(error))
    assert len(pictures) == 2
    for picture in pictures:
        assert picture.dtype == np.uint8
        assert picture.shape[2:] == (3,)
        assert picture.std() > 5
    if env_class.__name__ not in {"SparsePointRobot", "FourCorners", "GridNavi"}:  # these start at one place
        assert (pictures[0] != pictures[1]).any()


def test_a_single_environment_renders_only_if_asked_to() -> None:
    silent = gymnasium.make("lit_metarl/PointRobot-v0", disable_env_checker=True).unwrapped
    silent.reset(seed=0)
    assert silent.render() is None
    seen = gymnasium.make("lit_metarl/PointRobot-v0", render_mode="rgb_array", disable_env_checker=True).unwrapped
    seen.reset(seed=0)
    assert seen.render().shape[2] == 3


def test_the_path_of_a_navigation_episode_is_drawn() -> None:
    env = SparsePointRobot(1)
    env.set_tasks(torch.tensor([[1.0, 0.0]]))
    env.reset()
    before = env.render_frame(0)
    for _ in range(5):
        env.step(torch.tensor([[0.0, 0.1]]))
    assert (env.render_frame(0) != before).any()


def test_a_path_that_leaves_the_scene_stays_in_the_picture() -> None:
    env = SparsePointRobot(1, horizon=60)
    env.set_tasks(torch.tensor([[1.0, 0.0]]))
    env.reset()
    frames = []
    for _ in range(60):
        env.step(torch.tensor([[0.0, 0.1]]))
        frames.append(env.render_frame(0))
    assert (frames[-1] != frames[-2]).any()  # six goals' distances away, the robot's last move is seen


def test_the_axes_move_rarely_while_a_path_leads_away() -> None:
    env = SparsePointRobot(1, horizon=60)
    env.reset(seed=0)
    corners = set()
    for _ in range(60):
        env.step(torch.tensor([[0.0, 0.1]]))
        env.render_frame(0)
        corners.add(env._scene._axes.get_ylim())  # type: ignore[union-attr]
    assert 1 < len(corners) < 15  # as many steps of half a unit fit on the way


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_navigation_picture_depends_on_nothing_but_the_state(duplicate: Callable[[MetaEnv], MetaEnv]) -> None:
    env = SparsePointRobot(1, horizon=60)
    env.reset(seed=0)
    start, first = env.state_dict(), env.render_frame(0)
    for _ in range(60):
        env.step(torch.tensor([[0.0, 0.1]]))
    far = env.render_frame(0)  # with wider limits
    assert (duplicate(env).render_frame(0) == far).all()
    env.set_tasks(env.task_distribution.sample(1, torch.Generator().manual_seed(1)))
    env.reset()
    assert (env.render_frame(0) != first).any()  # another goal
    env.load_state_dict(start)
    assert (env.render_frame(0) == first).all()


def test_without_a_gl_library_the_error_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(*arguments: object) -> None:
        raise ImportError("no such library")

    monkeypatch.setattr(mujoco, "Renderer", no_library)
    monkeypatch.setattr(pictures, "_renderers", {})
    model = copy.copy(HalfCheetahVel(1)._physics.model)  # that nothing has been drawn of
    with pytest.raises(ConfigurationError, match=r"egl failed .*no such library.*libegl1.*libosmesa6.*MUJOCO_GL"):
        render_state(model, np.zeros(9))


DRAW = """
from envs import HalfCheetahVel

env = HalfCheetahVel(1)
env.reset()
try:
    print(env.render_frame(0).std() > 5)
except RuntimeError as error:
    print(type(error).__name__, error)
"""


def _rendered_with(**variables: str) -> str:
    """What a process of its own says that draws with these environment variables."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "MUJOCO_GL")}
    command = [sys.executable, "-c", DRAW]
    done = subprocess.run(command, env={**kept, **variables}, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_display_that_is_gone_does_not_keep_egl_from_drawing() -> None:
    without = _rendered_with()
    if without != "True":
        pytest.skip(without)
    assert _rendered_with(DISPLAY=":987") == "True"


@pytest.mark.parametrize("choice", ["nonsense", "off"])
def test_a_choice_that_draws_nothing_is_told_when_a_picture_is_asked_for(choice: str) -> None:
    assert re.match(
        rf"CannotRender MuJoCo cannot draw off-screen with MUJOCO_GL={choice}: ", _rendered_with(MUJOCO_GL=choice)
    )


def test_pictures_of_many_models_keep_few_renderers(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, closed = [], []

    class Renderer:
        def __init__(self, model: mujoco.MjModel, *size: int) -> None:
            opened.append(model)

        def update_scene(self, *arguments: object, **settings: object) -> None: ...

        def render(self) -> np.ndarray:
            return np.zeros((1, 1, 3), np.uint8)

        def close(self) -> None:
            closed.append(self)

    monkeypatch.setattr(mujoco, "Renderer", Renderer)
    monkeypatch.setattr(pictures, "_renderers", {})
    models = [copy.copy(HalfCheetahVel(1)._physics.model) for _ in range(MOST_RENDERERS + 2)]
    for model in models:
        render_state(model, np.zeros(9))
        render_state(model, np.zeros(9))
    assert opened == models
    assert len(closed) == 2
    pictures._close_renderers()
    assert len(closed) == len(models)
