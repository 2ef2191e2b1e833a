"""Pictures of trials, their captions and what becomes of them."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.collection import Collector
from envs import PointRobot
from lit_metarl.videos import Camera, animated_gif, film_in
from lit_metarl.videos.captions import (
    FONT_SIZE,
    SMALLEST_FONT_SIZE,
    _fitted,
    achieved_values,
    values_of,
    with_caption,
)
from tests.environments import Blind, EndingPoint


def test_a_caption_stands_below_the_picture_and_is_cut_to_its_width() -> None:
    picture = np.full((40, 320, 3), 100, np.uint8)
    short, long = (with_caption(picture, [text]) for text in ("−1.5", "a line that is far too long for it " * 3))
    assert short.shape == long.shape
    assert (short[:40] == picture).all()
    assert short[40:].max() > 200
    assert not long[40:, -2:].any()


def test_a_picture_too_small_for_a_caption_is_enlarged_by_a_whole_factor() -> None:
    picture = np.arange(6, dtype=np.uint8).reshape(1, 2, 3).repeat(60, 1)  # two colors, 120 pixels wide
    enlarged = with_caption(picture, ["return −1.5"])
    assert enlarged.shape[1] == 3 * 120
    assert (enlarged[:3] == picture.repeat(3, 0).repeat(3, 1)).all()


def test_a_long_line_is_written_smaller_before_it_is_cut() -> None:
    line = "SparsePointRobot, task: goal x 0.19  goal y 0.57"
    text, font = _fitted(line, 308)
    assert (text, font.size < FONT_SIZE) == (line, True)
    cut, smallest = _fitted(2 * line, 308)
    assert cut.endswith("…")
    assert (smallest.size, smallest.getlength(cut) <= 308) == (SMALLEST_FONT_SIZE, True)


def test_a_caption_says_what_was_to_be_achieved_and_what_was() -> None:
    features, means = torch.tensor([2.0, 0.1, -1.0, 0.0]), torch.tensor([1.5, 0.2, -0.5, 0.0])
    assert values_of(["goal_x", "velocity"], torch.tensor([0.5, -2.0])) == "goal x 0.50  velocity -2.00"
    velocities = ("velocity", "control_cost", "velocity_y", "diverged")
    assert achieved_values(velocities, features, means) == "mean velocity 1.50  mean velocity y -0.50"
    assert achieved_values(("x", "costs", "puck_y", "height"), features, means) == "x 2.00  puck y -1.00"
    assert achieved_values(("reward", "success", "state_0", "max"), features, means) == ""


def test_every_task_has_a_film_of_every_episode_with_first_and_last_state() -> None:
    films: list[list[np.ndarray]] = [[], [], []]
    camera = Camera(
        {number: film.append for number, film in enumerate(films)}, exploration_episodes=1, pictures_per_episode=2
    )
    env = film_in(EndingPoint, camera)(2, 0)
    agent, generator = Blind(PointRobot.meta_spec), torch.Generator().manual_seed(0)
    far, near = torch.tensor([[1.0, 1.0], [-1.0, 0.1]]), torch.tensor([[0.1, 0.0]])
    collector = Collector(env)
    trials = [collector.collect(agent, far, 2, generator), collector.collect(agent, near, 1, generator)]
    lengths = [length for trial in trials for length in trial.steps["valid"].sum(-1).tolist()]
    assert any(length < 20 for episodes in lengths for length in episodes)
    expected = [sum(1 + -(-length // 10) for length in episodes) for episodes in lengths]  # each 10th
    assert [len(film) for film in films] == expected  # the second trial's spare copy is not filmed
    assert all((one != other).any() for film in films for one, other in pairwise(film))


def test_before_its_first_step_an_episode_has_achieved_nothing_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    captions: list[str] = []
    monkeypatch.setattr(
        "lit_metarl.videos.camera.with_caption", lambda frame, lines: captions.append(lines[1]) or frame
    )
    env = film_in(PointRobot, Camera({0: lambda picture: None}, exploration_episodes=1))(1, 0)
    agent, generator = Blind(PointRobot.meta_spec), torch.Generator().manual_seed(0)
    Collector(env).collect(agent, torch.tensor([[0.5, 0.5]]), 1, generator)
    assert captions[0] == "achieved: –"
    assert captions[1].startswith("achieved: x ")


def test_filming_does_not_change_what_happens() -> None:
    trials = []
    for make in (PointRobot, film_in(PointRobot, Camera({0: lambda picture: None}, 1, 1))):
        agent = Blind(PointRobot.meta_spec)
        tasks = torch.tensor([[1.0, 0.0]])
        trials.append(Collector(make(1, 3)).collect(agent, tasks, 1, torch.Generator().manual_seed(0)))
    assert torch.equal(trials[0].steps["observation"], trials[1].steps["observation"])


def test_a_gif_shows_the_pictures_in_order() -> None:
    pictures = [np.full((8, 8, 3), shade, np.uint8) for shade in (0, 120, 240)]
    gif = Image.open(io.BytesIO(animated_gif(pictures)))
    shades = []
    for frame in range(gif.n_frames):
        gif.seek(frame)
        shades.append(int(np.asarray(gif.convert("L"))[0, 0]))
    assert shades == pytest.approx([0, 120, 240], abs=8)
