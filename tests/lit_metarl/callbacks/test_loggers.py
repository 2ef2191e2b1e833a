"""Runs under other loggers than TensorBoard, as their configurations in configs/logger set them up."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lit_metarl import cli
from tests.conftest import TINY


@pytest.fixture
def run_with(configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A tiny run in an empty working directory under the loggers of a configuration; its folder."""
    monkeypatch.chdir(tmp_path)

    def run(name: str) -> Path:
        files = [f"--config={configs / file}.yaml" for file in ("point_robot", f"logger/{name}")]
        changes = ["--figures.share=1", "--figures.videos=false", "--trainer.max_epochs=1"]
        assert cli.main(["fit", *files, *TINY, *changes]) == 0
        folder = tmp_path / "runs" / "version_0"
        assert "after" in json.loads((folder / "results.json").read_text())
        assert (folder / "config.yaml").is_file()
        assert (folder / "test_tasks.csv").is_file()
        return folder

    return run


def test_csv_holds_scalars_against_environment_steps_and_the_configuration(run_with: Callable[..., Path]) -> None:
    folder = run_with("csv")
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    validated = [row for row in rows if row["val/return"]]
    assert [int(row["step"]) for row in validated] == [4 * 20 + 2 * 3 * 20]
    parameters = yaml.safe_load((folder / "hparams.yaml").read_text())
    assert parameters["data"]["task_slots"] == 4


def test_weights_and_biases_is_written_offline(configs: Path, tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="needs the package wandb")
    files = [f"--config={configs / file}.yaml" for file in ("point_robot", "logger/wandb")]
    subprocess.run(  # it is written when its process ends
        [sys.executable, configs.parent / "train.py", "fit", *files, *TINY, "--trainer.max_epochs=1"],
        cwd=tmp_path,
        env={**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true"},
        check=True,
    )
    (record,) = (tmp_path / "runs" / "wandb").glob("offline-run-*/run-*.wandb")
    content = record.read_bytes()
    assert b"val/return" in content
    assert b"task_slots" in content


def test_mlflow_writes_into_a_folder(
    run_with: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="needs the package mlflow-skinny")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    run_with("mlflow")
    (metric,) = (tmp_path / "runs" / "mlflow").glob("*/*/metrics/val/return")
    assert metric.read_text().split()[2] == str(4 * 20 + 2 * 2 * 20)
    (parameter,) = (tmp_path / "runs" / "mlflow").glob("*/*/params/data/task_slots")
    assert parameter.read_text() == "4"
