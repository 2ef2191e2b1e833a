"""Rows from real runs, and runs that cannot be used."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_metarl.report.__main__ import main
from lit_metarl.report.event_logs import read_scalars
from lit_metarl.report.run_folders import find_runs, newest


def read(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_hold_what_a_real_run_logged_and_name_the_runs_left_out(
    run_tiny: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "batch" / "point" / "none"
    logger = "--trainer.logger.init_args"
    run_tiny("fit", f"{logger}.save_dir={place}", f"{logger}.name=seed_1")
    version = place / "seed_1" / "version_0"
    (place / "seed_1" / "version_1").mkdir()  # a later attempt that did not finish
    damaged = place / "seed_2" / "version_0"
    shutil.copytree(version, damaged)
    log = max(damaged.glob("*tfevents*"), key=lambda path: path.stat().st_size)
    log.write_bytes(log.read_bytes()[:-9])
    (place / "seed_3").mkdir()
    shutil.copytree(version, place / "seed_4")
    (place / "seed_4" / "config.yaml").unlink()
    shutil.copytree(version, place / "seed_5" / "version_0")
    (place / "seed_5" / "version_0" / "test_tasks.csv").write_bytes(b"task,episode,return\n0,1")
    capsys.readouterr()

    assert main(["rows", str(tmp_path / "batch"), str(tmp_path / "rows")]) == 0
    printed = capsys.readouterr().out
    for part in (
        "seed_2: an event file",
        "seed_3: it has not finished",
        "seed_4: config.yaml: No such file",
        "seed_5: its test_tasks.csv is damaged",
    ):
        assert part in printed
    statuses = [(row["seed"], row["status"] == "finished") for row in read(tmp_path / "rows" / "runs.csv")]
    assert statuses == [("1", True), ("2", False), ("3", False), ("4", False), ("5", False)]
    assert read(tmp_path / "rows" / "runs.csv")[0]["environment"] == "PointRobot"
    assert read(tmp_path / "rows" / "runs.csv")[0]["monitor"] == "val/return"

    events = EventAccumulator(str(version))
    events.Reload()
    curves = read(tmp_path / "rows" / "curves.csv")
    assert {(row["experiment"], row["method"], row["seed"]) for row in curves} == {("point", "none", "1")}
    for metric in ("val/return", "val/cvar", "val/return_episode_1"):
        logged = [(event.step, event.value) for event in events.Scalars(metric)]
        assert [int(row["environment_steps"]) for row in curves] == [step for step, _ in logged]
        assert [float(row[metric]) for row in curves] == pytest.approx([value for _, value in logged], rel=1e-6)
    before, after = read(tmp_path / "rows" / "finals.csv")
    results = json.loads((version / "results.json").read_text())
    assert (before["training"], before["environment_steps"], after["training"]) == ("before", "0", "after")
    assert after["environment_steps"] == curves[-1]["environment_steps"]
    assert float(after["test/return"]) == pytest.approx(results["after"]["test/return"], rel=1e-6)
    by_task = read(tmp_path / "rows" / "tasks.csv.gz")
    assert [(row["task"], row["episode"]) for row in by_task] == [(f"{i}", f"{k}") for i in range(5) for k in (1, 2, 3)]
    adapted = [float(row["return"]) for row in by_task if row["episode"] == "3"]
    assert sum(adapted) / 5 == pytest.approx(results["after"]["test/return"], rel=1e-5)
    assert {"task/goal_x", "task/goal_y"} <= set(by_task[0])
    assert "versions" not in by_task[0]


def test_rows_that_are_added_are_those_of_all_runs_together(run_tiny: Callable[..., int], tmp_path: Path) -> None:
    places = [tmp_path / "here" / "point" / "none" / "seed_10", tmp_path / "there" / "point" / "none" / "seed_9"]
    logger = "--trainer.logger.init_args"
    run_tiny("fit", f"{logger}.save_dir={places[0].parent}", f"{logger}.name=seed_10")
    shutil.copytree(places[0], places[1])
    for place in places:
        shutil.copytree(place, tmp_path / "both" / "point" / "none" / place.name)
    assert main(["rows", str(tmp_path / "both"), str(tmp_path / "together")]) == 0
    for folder in ("here", "there", "there"):  # what is added again is not there twice
        assert main(["rows", str(tmp_path / folder), str(tmp_path / "added"), "--add", "true"]) == 0
    for file in ("runs.csv", "curves.csv", "finals.csv", "tasks.csv.gz"):
        assert read(tmp_path / "added" / file) == read(tmp_path / "together" / file)
        assert len(read(tmp_path / "added" / file)) >= 2


def write_version(folder: Path, resumed_from: str) -> None:
    """A folder as of a run that began to train, from a checkpoint or "null"."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"ckpt_path: {resumed_from}\n")
    (folder / "versions.json").touch()


def test_the_newest_version_counts(tmp_path: Path) -> None:
    for version in (0, 2, 9, 10, 11):
        (tmp_path / f"version_{version}").mkdir()
        if version != 11:
            (tmp_path / f"version_{version}" / "results.json").touch()
    assert newest(tmp_path) == [tmp_path / "version_10"]


def test_a_resumed_run_counts_from_its_beginning(tmp_path: Path) -> None:
    for version, resumed_from in enumerate(("null", "null", "last", f"{tmp_path}/version_2/checkpoints/last.ckpt")):
        write_version(tmp_path / f"version_{version}", resumed_from)
    (tmp_path / "version_3" / "results.json").touch()
    assert newest(tmp_path) == [tmp_path / f"version_{version}" for version in (1, 2, 3)]


def test_a_run_continues_the_one_whose_checkpoint_it_was_given_and_not_the_one_before(tmp_path: Path) -> None:
    named = f"{tmp_path}/mine/version_0/checkpoints/last.ckpt"
    for version, resumed_from in enumerate(("null", "null", named)):
        write_version(tmp_path / "mine" / f"version_{version}", resumed_from)
    write_version(tmp_path / "other" / "version_0", named)
    folders = {tuple(str(path.relative_to(tmp_path)) for path in chain) for chain in find_runs(tmp_path).values()}
    first, second = "mine/version_0", "mine/version_1"
    assert folders == {(second,), (first, "mine/version_2"), (first, "other/version_0")}
    assert [len(chain) for chain in find_runs(tmp_path / "other").values()] == [2]  # what it continues lies elsewhere
    moved = tmp_path / "moved"
    moved.mkdir()
    (tmp_path / "mine").rename(moved / "mine")
    (chain,) = (chain for chain in find_runs(moved).values() if len(chain) == 2)
    assert [path.name for path in chain] == ["version_0", "version_2"]


def test_what_a_run_logged_after_the_checkpoint_that_another_went_on_from_is_not_of_that_one(tmp_path: Path) -> None:
    for version, steps in enumerate(([100, 200, 300], [250, 350])):
        (tmp_path / f"version_{version}").mkdir()
        rows = [f"{step},{version},{step}" for step in steps]
        (tmp_path / f"version_{version}" / "metrics.csv").write_text(
            "\n".join(["step,val/return,progress/meta_steps", *rows])
        )
    scalars = read_scalars([tmp_path / f"version_{version}" for version in (0, 1)], ("val/", "progress/"))
    assert scalars["val/return"] == {100: 0, 200: 0, 250: 1, 350: 1}


@pytest.mark.parametrize("content", [[], ["point/none/first"], ["point/none/seed_1"]])
def test_a_folder_without_a_finished_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: list[str]
) -> None:
    for place in content:
        (tmp_path / "batch" / place).mkdir(parents=True)
    assert main(["rows", str(tmp_path / "batch"), str(tmp_path / "rows")]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: runs = ")
    assert len(message.splitlines()) == 1
