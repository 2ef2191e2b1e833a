"""A run as pandas frames, with any logger and with none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from envs import ConfigurationError
from lit_metarl.algorithms.base import CURVES
from lit_metarl.checkpoints import ExactResume
from lit_metarl.evaluation import LearningCurves
from lit_metarl.frames import curves, tasks
from tests.tiny import INITIAL_STEPS, ITERATION_STEPS, tiny_agent, tiny_data, tiny_trainer

LOGGERS: dict[str, Callable[[Path], Any]] = {
    "none": lambda folder: False,
    "csv": lambda folder: CSVLogger(folder),
    "tensorboard": lambda folder: TensorBoardLogger(folder),
}


@pytest.mark.parametrize("logger", LOGGERS)
def test_learning_curves_do_not_depend_on_the_logger(logger: str, tmp_path: Path) -> None:
    agent = tiny_agent()
    trainer = tiny_trainer(logger=LOGGERS[logger](tmp_path), default_root_dir=tmp_path, enable_checkpointing=True)
    trainer.fit(agent, datamodule=tiny_data())
    frame = curves(agent)
    assert frame["environment_steps"].tolist() == [INITIAL_STEPS + ITERATION_STEPS, INITIAL_STEPS + 2 * ITERATION_STEPS]
    assert not frame[["val/return", "train/critic_loss", "collect/return"]].isna().any(axis=None)
    assert frame["val/return"].iloc[-1] == pytest.approx(float(trainer.callback_metrics["val/return"]))
    pd.testing.assert_frame_equal(curves(tmp_path), frame)


def test_a_resumed_run_has_the_curves_from_its_beginning(tmp_path: Path) -> None:
    whole, path = tiny_agent(), tmp_path / "half.ckpt"
    tiny_trainer(callbacks=[ExactResume()]).fit(whole, datamodule=tiny_data())
    first = tiny_trainer(max_epochs=1, callbacks=[ExactResume()], default_root_dir=tmp_path)
    first.fit(tiny_agent(), datamodule=tiny_data())
    first.save_checkpoint(path)
    resumed = tiny_agent()
    tiny_trainer(callbacks=[ExactResume()]).fit(resumed, datamodule=tiny_data(), ckpt_path=str(path))
    assert curves(resumed)["environment_steps"].tolist() == curves(whole)["environment_steps"].tolist()


def test_results_by_task_are_those_of_the_last_test() -> None:
    agent, trainer = tiny_agent(), tiny_trainer(max_epochs=1)
    data = tiny_data()
    trainer.fit(agent, datamodule=data)
    (metrics,) = trainer.test(agent, datamodule=data, verbose=False)
    frame = tasks(agent)
    assert list(frame) == ["task", "episode", "exploration", "return", "task/goal_x", "task/goal_y"]
    assert len(frame) == 5 * 2
    adapted = frame[~frame["exploration"]]
    assert adapted["return"].mean() == pytest.approx(metrics["test/return"], rel=1e-5)


def test_the_folder_of_a_run_from_the_command_line_gives_both(run_tiny: Callable[..., int], tmp_path: Path) -> None:
    assert run_tiny("fit", "--trainer.logger=pytorch_lightning.loggers.CSVLogger") == 0
    (folder,) = [path.parent for path in tmp_path.rglob("results.json")]
    assert len(curves(folder)) == 2
    assert set(tasks(folder)["task"]) == set(range(5))


def test_of_the_checkpoints_in_a_folder_the_one_written_last_counts(tmp_path: Path) -> None:
    for name, steps, seconds in (("later.ckpt", 20, 200), ("sooner.ckpt", 10, 100)):
        kept = LearningCurves()
        kept.add(steps, {"val/return": 1.0})
        torch.save({"state_dict": {}, CURVES: kept.state_dict()}, tmp_path / name)
        os.utime(tmp_path / name, (seconds, seconds))
    assert curves(tmp_path)["environment_steps"].tolist() == [20]


def test_what_holds_nothing_is_refused(tmp_path: Path) -> None:
    for run in (curves, tasks):
        with pytest.raises(ConfigurationError, match="run = .*it holds no"):
            run(tmp_path)
    with pytest.raises(ConfigurationError, match="there was no validation or test"):
        tasks(tiny_agent())
