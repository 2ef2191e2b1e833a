"""Rows by task and episode: written, read back, and equal to what a test printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from packaging.version import Version

from envs import GridNavi
from lit_metarl.configuration_hash import configuration_hash
from lit_metarl.evaluation import TaskResults, read_task_rows, result_rows, task_rows, write_task_rows

RESULTS = TaskResults(
    tasks=torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
    returns=torch.tensor([[-1.5, 0.25], [2.0, 0.1]]),
    success=torch.tensor([[0.0, 1.0], [0.5, 1.0]]),
    beliefs=None,
    exploration_episodes=1,
)
SPEC = replace(GridNavi.meta_spec, task_names=("x", "y"))


def test_there_is_one_row_for_every_task_and_episode_with_what_figures_need(tmp_path: Path) -> None:
    made = task_rows(RESULTS, SPEC, seed=3, configuration="c0ffee", environment_steps=100)
    rows = read_task_rows(write_task_rows(made, tmp_path)).to_dict("records")
    told = [
        (row["task"], row["episode"], row["exploration"], row["return"], row["success"], row["task/x"], row["task/y"])
        for row in rows
    ]
    assert told == [
        (0, 1, True, -1.5, 0.0, 1.0, 2.0),
        (0, 2, False, 0.25, 1.0, 1.0, 2.0),
        (1, 1, True, 2.0, 0.5, 3.0, 4.0),
        (1, 2, False, 0.1, 1.0, 3.0, 4.0),
    ]
    assert {(row["environment"], row["seed"], row["configuration"], row["environment_steps"]) for row in rows} == {
        ("GridNavi", 3, "c0ffee", 100)
    }
    versions = dict(entry.split(" ") for entry in rows[0]["versions"].split("; "))
    # A build's metadata may lack the local part of its version, as "+cu130".
    assert Version(versions["torch"]).public == Version(torch.__version__).public


def test_an_environment_without_success_has_no_such_column() -> None:
    assert "success" not in result_rows(replace(RESULTS, success=None), SPEC)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged"),
        (b"task,episode,return\n0,1,-1.5\n0,2,-", "is damaged"),  # cut off
        (b"task,episode,return\n0,1,low\n", "is damaged"),
        (b"task,return\n0,-1.5\n", r"lacks the columns \['episode'\]"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "test_tasks.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"its test_tasks\.csv {message}"):
        read_task_rows(path)


def test_rows_of_fit_and_of_a_later_test_are_equal_and_give_the_printed_figures(
    run_tiny: Callable[..., int], tmp_path: Path
) -> None:
    run_tiny("fit")
    first = tmp_path / "runs" / "version_0"
    run_tiny("test", f"--ckpt_path={first / 'checkpoints' / 'best.ckpt'}", "--trainer.max_epochs=9")
    rows, again = (read_task_rows(path / "test_tasks.csv") for path in (first, first.with_name("version_1")))
    assert rows.equals(again)
    figures = json.loads((first / "results.json").read_text())["after"]
    adapted = sorted(rows["return"][rows["episode"] == 3])
    assert len(adapted) == 5
    assert figures["test/return"] == pytest.approx(np.mean(adapted), rel=1e-5)
    assert figures["test/cvar"] == pytest.approx(adapted[0])  # ⌈0.05 · 5⌉ = 1
    config = yaml.safe_load((first / "config.yaml").read_text())
    assert set(rows["configuration"]) == {configuration_hash(config)}
    assert set(rows["seed"]) == {1}
