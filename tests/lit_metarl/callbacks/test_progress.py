"""Progress bars say what runs, and how long it will take."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
from pytorch_lightning.callbacks.progress.rich_progress import CustomProgress
from rich.console import Console
from rich.progress import Progress, TextColumn

from datamodules import RolloutDataModule
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.callbacks import EvaluationReporter, MetaRLProgressBar
from lit_metarl.callbacks.progress import TimeColumn
from lit_metarl.checkpoints import RunCheckpoint

ROOT = Path(__file__).parent.parent.parent.parent


def test_a_bar_names_what_it_tests(run_tiny: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[str] = []
    monkeypatch.setattr(
        MetaRLProgressBar, "on_test_batch_start", lambda bar, *given, **named_: named.append(bar.test_description)
    )
    assert run_tiny("fit", "--trainer.enable_progress_bar=true", "--trainer.max_epochs=1") == 0
    assert list(dict.fromkeys(named)) == ["Testing the untrained agent", "Testing the best checkpoint"]


def test_the_time_left_follows_the_mean_pace_and_not_a_pause_before_the_first_step() -> None:
    now = [0.0]
    progress, column = Progress(get_time=lambda: now[0], auto_refresh=False), TimeColumn("")
    number = progress.add_task("", total=100)
    (task,) = progress.tasks
    shown = []
    for step, seconds in enumerate([50.0, 1.0, 1.0, 1.0, 2.0, 1.0]):  # collection, then steps
        shown.append(str(column.render(task)))
        now[0] += seconds
        progress.update(number, completed=step + 1)
        column._renderable_cache.clear()
    assert shown[0] == "0:00:00 • -:--:--"
    assert [text.split("• ")[1] for text in shown[2:]] == ["0:01:38", "0:01:37", "0:01:36", "0:01:58"]


def test_the_bar_of_a_collection_moves_while_it_runs() -> None:
    shown = io.StringIO()
    bar = MetaRLProgressBar()
    console = Console(file=shown, force_terminal=True)
    bar.progress = CustomProgress(
        TextColumn("{task.completed} of {task.total}"), console=console, refresh_per_second=50
    )
    with bar.progress:
        bar.begin("trials", 100)
        bar.advance(37)
        time.sleep(0.5)
        assert "37 of 100" in shown.getvalue()


def test_a_validations_line_has_what_is_monitored_and_minutes_left_without_the_first_epoch_with_its_initial_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reporter, agent = EvaluationReporter(), MagicMock(spec=MetaRLModule, wall_clock_s=600.0)
    trainer: Any = SimpleNamespace(
        state=SimpleNamespace(fn="fit"),
        sanity_checking=False,
        is_global_zero=True,
        callback_metrics={"val/return": torch.tensor(1.0), "val/return_trial": torch.tensor(2.0)},
        callbacks=[RunCheckpoint(monitor="val/return_trial")],
        max_epochs=10,
        current_epoch=0,
        datamodule=MagicMock(spec=RolloutDataModule, environment_steps=6600),
    )
    reporter.on_train_epoch_end(trainer, agent)
    trainer.current_epoch, agent.wall_clock_s = 1, 660.0
    reporter.on_validation_end(trainer, agent)
    assert "10 steps/s   11.0 min    8.0 min left  return 1.00  return_trial 2.00" in capsys.readouterr().out
    trainer.datamodule.environment_steps, agent.wall_clock_s = 8600, 760.0
    reporter.on_validation_end(trainer, agent)
    assert "20 steps/s" in capsys.readouterr().out  # since the line before


def test_ctrl_c_while_it_starts_ends_it_in_one_line() -> None:
    handled = "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code = f"{handled} runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "fit", "--help"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT
    )
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.decode()) == (130, "Stopped before the run began.\n")
