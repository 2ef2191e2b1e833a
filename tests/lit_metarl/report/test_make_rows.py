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
from lit_metarl.report.run_folders import newest


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


def test_the_newest_version_counts(tmp_path: Path) -> None:
    for version in (0, 2, 9, 10, 11):
        (tmp_path / f"version_{version}").mkdir()
        if version != 11:
            (tmp_path / f"version_{version}" / "results.json").touch()
    assert newest(tmp_path) == [tmp_path / "version_10"]


def test_a_resumed_run_counts_from_its_beginning(tmp_path: Path) -> None:
    for version, resumed_from in enumerate(("null", "null", "last", "runs/version_2/checkpoints/last.ckpt")):
        (tmp_path / f"version_{version}").mkdir()
        (tmp_path / f"version_{version}" / "config.yaml").write_text(f"ckpt_path: {resumed_from}\n")
    (tmp_path / "version_3" / "results.json").touch()
    assert newest(tmp_path) == [tmp_path / f"version_{version}" for version in (1, 2, 3)]


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
