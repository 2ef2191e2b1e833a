"""The picture of adapting is drawn from a checkpoint, and wrong tasks are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from examples import adaptation_picture


@pytest.fixture
def checkpoint(run_tiny: Callable[..., int], tmp_path: Path) -> str:
    """Of a short run of the point robot."""
    assert run_tiny("fit") == 0
    return str(tmp_path / "runs" / "version_0" / "checkpoints" / "best.ckpt")


def test_a_picture_has_a_panel_an_episode(checkpoint: str, tmp_path: Path) -> None:
    tasks = [[0.5, 0.5], [-0.5, 0.25]]
    trials, env = adaptation_picture.run_trials(Path(checkpoint), tasks, episodes=3, seed=1)
    panels = adaptation_picture.plot(trials, env).axes
    assert [panel.get_title().split("\n")[0] for panel in panels] == [
        "episode 1 (exploring)",
        "episode 2 (exploring)",
        "episode 3",
    ]
    goals = [line.get_xydata()[0].tolist() for line in panels[0].lines if line.get_marker() == "*"]
    assert goals == tasks


@pytest.mark.parametrize(
    ("picture", "options", "told"),
    [
        ("b.png", ["--tasks=[[0.5]]"], "goal_x, goal_y"),
        ("b.png", ["--tasks=[0.5, 0.5]"], "each a list of numbers"),
        ("b.png", ["--tasks=0.5"], "each a list of numbers"),
        ("b.png", ["--tasks=[[0.5, 0.5], [1.0]]"], "2 coordinates, not 1"),
        ("b.png", ["--tasks=[[0.5, 0.5]]", "--episodes=0"], "at least 1"),
        ("b.bmp", ["--tasks=[[0.5, 0.5]]"], ".png or .svg"),
    ],
)
def test_mistakes_are_told_in_one_message(
    picture: str, options: list[str], told: str, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adaptation_picture.main([checkpoint, str(tmp_path / picture), *options]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / picture).exists()


def test_the_picture_is_written(checkpoint: str, tmp_path: Path) -> None:
    assert adaptation_picture.main([checkpoint, str(tmp_path / "a.png"), "--tasks=[[0.5, 0.5]]"]) == 0
    assert (tmp_path / "a.png").exists()
