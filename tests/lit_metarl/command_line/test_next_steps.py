"""The commands that a run ends with are those of this run, and work."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from lit_metarl import cli
from lit_metarl.evaluation import read_task_rows
from lit_metarl.report.__main__ import main as report
from tests.lit_metarl.command_line.conftest import Run

ROOT = Path(__file__).parent.parent.parent.parent


FILM = "film worst, median, best"


def commands(printed: str) -> dict[str, list[str]]:
    """The commands at the end of what was printed, by what they are for, split as a shell does."""
    lines = printed.partition("From here:\n")[2].splitlines()
    split = [line.strip().partition("  ") for line in lines if line.startswith("  ")]
    return {purpose: shlex.split(command) for purpose, _, command in split}


def test_a_run_ends_with_commands_that_work(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py")])
    changes = ["--trainer.logger.init_args.save_dir=runs", "--data.env=tests.environments.ShortPoint"]
    assert run_tiny("fit", *changes, "--name=null", "--trainer.max_epochs=1") == 0
    found = commands(capsys.readouterr().out)
    assert list(found) == ["test again", FILM, "train on", "report", "see curves"]
    runs = Path("runs") / "pearl_short_point_seed1"
    for purpose in ("test again", FILM, "train on"):
        python, program, *arguments = found[purpose]
        assert Path(python).name.startswith("python")
        assert program == str(ROOT / "train.py")
        assert cli.main(arguments) == 0, purpose
    assert (runs / "version_1" / "test_tasks.csv").is_file()
    assert len(list((runs / "version_2" / "videos").glob("*.mp4"))) == 3
    assert (runs / "version_3" / "results.json").is_file()
    assert report(found["report"][3:]) == 0
    assert (runs / "version_0" / "report" / "index.html").is_file()
    assert found["see curves"][1:] == ["-m", "tensorboard.main", "--logdir", "runs"]


def test_the_command_to_train_on_does_so_where_the_time_was_up(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny("fit", "--trainer.max_time=00:00:00:01", "--trainer.max_epochs=100000") == 0
    said = capsys.readouterr()
    assert "environment steps, before the last of 100000 epochs: max_time" in said.err
    (*_, last) = (line for line in said.out.splitlines() if line.startswith("epoch"))
    epochs = int(last.split()[1]) + 3
    _, _, *arguments = commands(said.out)["train on"]
    assert cli.main([*arguments, f"--trainer.max_epochs={epochs}"]) == 0
    assert f"epoch {epochs:4d}" in capsys.readouterr().out


def test_the_films_of_a_test_show_its_own_worst_median_and_best_trials(
    run_tiny: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ["--data.env=tests.environments.ShortPoint", "--data.evaluation.num_envs=2"]
    assert run_tiny("fit", *changes, "--trainer.max_epochs=1") == 0
    best = tmp_path / "runs" / "version_0" / "checkpoints" / "best.ckpt"
    tested = read_task_rows(tmp_path / "runs" / "version_0" / "test_tasks.csv")
    adapted = tested[tested["episode"] == 3].sort_values("return")
    capsys.readouterr()
    assert run_tiny("predict", *changes, f"--ckpt_path={best}", "--video") == 0
    printed = capsys.readouterr().out
    rows = [line.split("│") for line in printed.splitlines() if line.startswith("│")]
    for row, place in zip(rows, (0, 2, 4)):
        assert float(row[-2]) == pytest.approx(adapted["return"].iloc[place], abs=0.0051)
    videos = [Path(line.removeprefix("Video: ")) for line in printed.splitlines() if line.startswith("Video: ")]
    assert [video.stem for video in videos] == ["worst", "median", "best"]
    assert all(video.stat().st_size > 0 for video in videos)


def test_without_validation_the_last_checkpoint_is_offered(
    run_tiny: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run_tiny("fit", "--trainer.limit_val_batches=0", "--trainer.max_epochs=1") == 0
    found = commands(capsys.readouterr().out)
    assert found["test again"][-1] == str(tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt")
    assert "curves" in " ".join(found)


def test_what_cannot_be_filmed_is_not_offered_as_a_film(run_tiny: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tiny("fit", "--data.env=tests.environments.Unrendered", "--trainer.max_epochs=1") == 0
    assert not any(purpose.startswith("film") for purpose in commands(capsys.readouterr().out))
