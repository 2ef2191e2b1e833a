"""`train.py predict`: whole trials on tasks of one's own choice, and films of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open

from lit_metarl.callbacks import MetaRLProgressBar
from lit_metarl.evaluation import read_task_rows
from tests.conftest import TINY

ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., int]


def read_trials(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    with safe_open(folder / "trials.safetensors", "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118 - no mapping


def frames_of(video: Path) -> np.ndarray:
    """All frames, `[frames, height, width, 3]`."""
    reader = imageio_ffmpeg.read_frames(str(video))
    width, height = next(reader)["size"]
    return np.stack([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader])


def test_trials_and_videos_on_given_tasks_are_whole(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, steps = [[0.5, 0.5], [-0.5, 0.25]], []
    monkeypatch.setattr(MetaRLProgressBar, "advance", lambda bar, number: steps.append(number))
    arguments = ["--data.env=tests.environments.ShortPoint", f"--tasks={tasks}", "--video"]
    assert run_tiny("predict", *arguments, "--trainer.enable_progress_bar=true") == 0
    assert sum(steps) == 2 * 3 * 5  # all were reported
    folder = tmp_path / "runs" / "version_0"
    printed = capsys.readouterr().out
    trials, header = read_trials(folder)
    for task, returns in zip(tasks, trials["sparse_reward"].sum(-1).tolist()):
        row = next(line for line in printed.splitlines() if ", ".join(map(str, task)) in line)
        assert [float(cell) for cell in row.split("│")[2:-1]] == pytest.approx(returns, abs=0.0051)
    assert trials["tasks"].tolist() == tasks
    assert trials["observation"].shape == (2, 3, 5, 2)
    assert trials["beliefs"].shape == (2, 3, 5)
    assert json.loads(header["task_names"]) == ["goal_x", "goal_y"]
    assert trials["valid"].all()
    assert trials["done"].nonzero()[:, 2].tolist() == [4] * 6
    goals = trials["tasks"][:, None, None]
    distances = (trials["next_observation"] - goals).norm(dim=-1)
    torch.testing.assert_close(trials["sparse_reward"], -distances)
    for number in range(2):
        video = folder / "videos" / f"task_{number}.mp4"
        assert str(video) in printed
        frames = frames_of(video)
        assert len(frames) == 3 * (1 + 5)  # three episodes: the start and every step
        changes = np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3))
        assert (changes > 0.01).all()


def test_without_tasks_those_of_the_test_are_predicted_from_a_checkpoint(run_tiny: Run, tmp_path: Path) -> None:
    run_tiny("fit", "--trainer.max_epochs=1")
    first = tmp_path / "runs" / "version_0"
    assert run_tiny("predict", f"--ckpt_path={first / 'checkpoints' / 'best.ckpt'}") == 0
    trials, _ = read_trials(tmp_path / "runs" / "version_1")
    tested = read_task_rows(first / "test_tasks.csv")["return"].tolist()
    assert trials["sparse_reward"].sum(-1).flatten().tolist() == pytest.approx(tested, rel=1e-5)
    assert {path.name for path in (tmp_path / "runs" / "version_1").iterdir()} == {
        "config.yaml",
        "hparams.yaml",
        "trials.safetensors",
    }  # and no event file, for nothing was logged


PICTURED = {
    "class_path": "envs.FromGymnasium",
    "init_args": {
        "env": "tests.envs.from_gymnasium.line.Pictured",
        "task_method": "set_goal",
        "task_distribution": {
            "class_path": "envs.task_distributions.UniformBox",
            "init_args": {"low": [0], "high": [1]},
        },
        "horizon": 4,
    },
}


def test_an_environment_of_gymnasium_is_filmed_in_pictures_that_a_caption_fits_under(
    run_tiny: Run, tmp_path: Path
) -> None:
    config = tmp_path / "pictured.yaml"
    config.write_text(yaml.safe_dump({"data": {"env": PICTURED}}))
    assert run_tiny("predict", f"--config={config}", "--video") == 0
    for film in ("worst", "best"):
        frames = frames_of(tmp_path / "runs" / "version_0" / "videos" / f"{film}.mp4")
        assert len(frames) == 3 * (1 + 4)
        assert frames.shape[2] >= 300


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--tasks=[[0.5]]"], ["tasks", "[0.5]", "2 coordinates, not 1", "goal_x, goal_y"]),
        (["--tasks=[[0.5,0.5],[9.0,0.0]]"], ["tasks", "[9.0, 0.0]", "outside"]),
        (["--tasks=[]"], ["tasks", "nothing to predict"]),
        (["--tasks=[[a]]"], ["tasks"]),
        (
            ["--tasks=[[0.5, 0.5]]", "--video", "--data.env=tests.environments.Unrendered"],
            ["video", "Unrendered has no picture"],
        ),
        (["--tasks=[[0.5, 0.5]]", "--return_predictions=false"], ["return_predictions", "lost"]),
    ],
)
def test_tasks_that_cannot_be_run_are_refused(
    run_tiny: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], parts: list[str]
) -> None:
    try:
        status = run_tiny("predict", *arguments)
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    message = capsys.readouterr().err
    assert status == 2
    assert all(part in message for part in parts), message


def test_a_half_cheetah_is_filmed_without_a_display_or_the_error_names_what_to_install(tmp_path: Path) -> None:
    arguments = [
        f"--config={ROOT / 'configs' / 'point_robot.yaml'}",
        *TINY,
        "--data.env=tests.environments.ShortCheetah",
        "--tasks=[[1.0]]",
        "--video",
        f"--trainer.logger.init_args.save_dir={tmp_path}",
    ]
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "MUJOCO_GL")}
    done = subprocess.run(
        [sys.executable, "train.py", "predict", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        assert "libegl1" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
        pytest.skip("there is no GL library on this machine")
    frames = frames_of(tmp_path / "version_0" / "videos" / "task_0.mp4")
    assert len(frames) == 3 * (1 + 4)
    assert (np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3)) > 0.01).all()
