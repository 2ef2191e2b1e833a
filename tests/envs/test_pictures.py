"""Every world can be seen."""

from __future__ import annotations

import gymnasium
import mujoco
import numpy as np
import pytest
import torch

from envs import WORLDS, HalfCheetahVel, MetaEnv
from envs.locomotion.pictures import draw_state

# Pictures of the arm take seconds each; one is drawn in envs/manipulation.
DRAWN = [world for world in WORLDS if not world.__module__.startswith("envs.manipulation")]


@pytest.mark.parametrize("world_class", DRAWN, ids=lambda world: world.__name__)
def test_a_picture_shows_something_and_the_state(world_class: type[MetaEnv]) -> None:
    world = world_class(2, seed=0)
    world.restart()
    try:
        pictures = world.render()
    except RuntimeError as error:
        pytest.skip(str(error))
    assert len(pictures) == 2
    for picture in pictures:
        assert picture.dtype == np.uint8
        assert picture.shape[2:] == (3,)
        assert picture.std() > 5
    if world_class.__name__ not in {"SparsePointRobot", "FourCorners", "GridNavi"}:  # these start at one place
        assert (pictures[0] != pictures[1]).any()


def test_a_single_environment_renders_only_if_asked_to() -> None:
    silent = gymnasium.make("lit_metarl/PointRobot-v0", disable_env_checker=True).unwrapped
    silent.reset(seed=0)
    assert silent.render() is None
    seen = gymnasium.make("lit_metarl/PointRobot-v0", render_mode="rgb_array", disable_env_checker=True).unwrapped
    seen.reset(seed=0)
    assert seen.render().shape[2] == 3


def test_the_path_of_a_navigation_episode_is_drawn() -> None:
    from envs import SparsePointRobot

    world = SparsePointRobot(1)
    world.set_tasks(torch.tensor([[1.0, 0.0]]))
    world.restart()
    before = world.draw(0)
    for _ in range(5):
        world.advance(torch.tensor([[0.0, 0.1]]))
    assert (world.draw(0) != before).any()


def test_without_a_gl_library_the_error_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(*arguments: object) -> None:
        raise ImportError("no such library")

    monkeypatch.setattr(mujoco, "Renderer", no_library)
    world = HalfCheetahVel(1)
    with pytest.raises(RuntimeError, match=r"libegl1.*libosmesa6.*MUJOCO_GL"):
        draw_state(world._physics.model, np.zeros(9))
