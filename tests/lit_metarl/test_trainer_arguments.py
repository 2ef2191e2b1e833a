"""Arguments and callbacks of the Trainer that have no effect here are refused before the run starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    BatchSizeFinder,
    Callback,
    DeviceStatsMonitor,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
    StochasticWeightAveraging,
)

from datamodules.tasks import CEMTaskSampler
from envs import ConfigurationError
from lit_metarl import trainer_arguments
from lit_metarl.algorithms import PEARL, VariBAD
from lit_metarl.checkpoints import ExactResume, LastCheckpoint, RunCheckpoint
from tests.lit_metarl.command_line.conftest import EARLY_STOPPING, Run, refused
from tests.tiny import INITIAL_STEPS, ITERATION_STEPS, tiny_agent, tiny_data, tiny_trainer

REFUSED = {
    "precision": "bf16-mixed",
    "max_epochs": 0,
    "max_steps": 0,
    "min_epochs": 3,
    "limit_train_batches": 0,
    "limit_val_batches": 0.5,
    "overfit_batches": 1,
    "val_check_interval": 4,
    "log_every_n_steps": -1,
    "gradient_clip_val": 0.5,
    "gradient_clip_algorithm": "value",
    "accumulate_grad_batches": 2,
}
"""Arguments of a Trainer that are refused for a run of two epochs with three batches and one validation batch."""


@pytest.fixture
def no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither training nor the test of the untrained agent may begin."""

    def begins(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the run began")

    monkeypatch.setattr(pl.Trainer, "_run_stage", begins)


@pytest.mark.usefixtures("no_run")
@pytest.mark.parametrize("name", REFUSED)
def test_an_argument_without_meaning_is_refused_on_the_command_line(
    run_tiny: Run, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    message = refused(lambda: run_tiny("fit", f"--trainer.{name}={REFUSED[name]}"), capsys)
    assert f"trainer.{name} = " in message
    assert str(REFUSED[name]) in message


@pytest.mark.usefixtures("no_run")
@pytest.mark.parametrize(
    "name", [name for name in REFUSED if name not in ("gradient_clip_val", "accumulate_grad_batches")]
)
def test_an_argument_without_meaning_is_refused_from_python(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"trainer.{name} = "):
        tiny_trainer(**{name: REFUSED[name]}).fit(tiny_agent(), datamodule=tiny_data())


@pytest.mark.usefixtures("no_run")
@pytest.mark.parametrize("switch", ["barebones=true", "enable_checkpointing=false"])
def test_what_a_run_of_the_command_line_cannot_do_without_is_not_switched_off(
    run_tiny: Run, capsys: pytest.CaptureFixture[str], switch: str
) -> None:
    assert f"trainer.{switch.partition('=')[0]} = " in refused(lambda: run_tiny("fit", f"--trainer.{switch}"), capsys)


@pytest.mark.parametrize("counter", ["step", "epoch"])
def test_early_stopping_cannot_watch_a_counter(run_tiny: Run, capsys: pytest.CaptureFixture[str], counter: str) -> None:
    callback = [EARLY_STOPPING, f"--trainer.callbacks.monitor={counter}"]
    assert f"monitor = '{counter}'" in refused(lambda: run_tiny("fit", *callback), capsys)


@pytest.mark.usefixtures("no_run")
@pytest.mark.parametrize(
    "callback",
    [
        GradientAccumulationScheduler({0: 2}),
        StochasticWeightAveraging(0.1),
        BatchSizeFinder(),
        LearningRateFinder(),
    ],
    ids=lambda callback: type(callback).__name__,
)
def test_a_callback_that_cannot_do_its_work_is_refused(callback: Callback) -> None:
    with pytest.raises(ConfigurationError, match=f"trainer.callbacks = '{type(callback).__name__}'"):
        trainer_arguments.check_trainer(tiny_trainer(callbacks=[callback]), tiny_data(), tiny_agent(), fits=True)


@pytest.mark.usefixtures("no_run")
@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (RunCheckpoint(train_time_interval=timedelta(minutes=1)), "checkpoint.train_time_interval"),
        (ModelCheckpoint(train_time_interval=timedelta(minutes=1)), "trainer.callbacks.init_args.train_time_interval"),
        (RunCheckpoint(monitor="val/return", every_n_train_steps=2), "checkpoint.every_n_train_steps = 2"),
        (RunCheckpoint(save_on_exception=True), "checkpoint.save_on_exception = True"),
        (LastCheckpoint(monitor="val/return"), "last_checkpoint.monitor = 'val/return'"),
        (LastCheckpoint(save_weights_only=True), "last_checkpoint.save_weights_only = True"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_checkpoint_that_would_not_hold_what_it_should_is_refused(callback: Callback, message: str) -> None:
    trainer = tiny_trainer(callbacks=[callback], enable_checkpointing=True)
    with pytest.raises(ConfigurationError, match=message):
        trainer_arguments.check_trainer(trainer, tiny_data(), tiny_agent(), fits=True)


@pytest.mark.usefixtures("no_run")
def test_statistics_of_a_cpu_need_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_arguments, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="psutil"):
        trainer_arguments.check_trainer(
            tiny_trainer(callbacks=[DeviceStatsMonitor()]), tiny_data(), tiny_agent(), fits=True
        )


@pytest.mark.parametrize(
    "arguments",
    [
        {"val_check_interval": 2, "check_val_every_n_epoch": None},
        {"val_check_interval": 0.5},
        {"val_check_interval": timedelta(hours=1)},
        {"limit_train_batches": 0.5},
        {"limit_val_batches": 0},
        {"gradient_clip_val": 0},
        {"reload_dataloaders_every_n_epochs": 1},
        {"num_sanity_val_steps": 2},
        {"deterministic": True},
        {"detect_anomaly": True},
        {"inference_mode": False},
        {"max_epochs": -1, "max_steps": 4},
        {"max_epochs": None, "max_time": timedelta(seconds=0.01), "min_epochs": 1},
        {"fast_dev_run": 2},
    ],
    ids=str,
)
def test_arguments_that_mean_what_they_say_are_left_alone(arguments: dict[str, Any]) -> None:
    trainer, data = tiny_trainer(**arguments), tiny_data()
    trainer.fit(tiny_agent(), datamodule=data)
    assert trainer.global_step > 0
    assert data.environment_steps >= INITIAL_STEPS + ITERATION_STEPS


@pytest.mark.usefixtures("no_run")
def test_a_run_without_validation_is_refused_where_the_task_sampler_compares_with_it() -> None:
    data = tiny_data(task_sampler=CEMTaskSampler(reference_mode="validation"))
    with pytest.raises(ConfigurationError, match="trainer.limit_val_batches = 0"):
        tiny_trainer(limit_val_batches=0).fit(tiny_agent(), datamodule=data)


def test_a_run_without_its_data_side_is_refused() -> None:
    data = tiny_data()
    with pytest.raises(ConfigurationError, match=r"trainer\.test\(model, datamodule=data\)"):
        tiny_trainer().test(tiny_agent(), dataloaders=data.test_dataloader())


def test_data_of_another_algorithm_are_not_trained_on() -> None:
    data = tiny_data()
    tiny_trainer(max_epochs=1).fit(tiny_agent(), datamodule=data)
    for algorithm in (PEARL, VariBAD):
        with pytest.raises(ConfigurationError, match="data of another algorithm"):
            tiny_trainer(max_epochs=1).fit(tiny_agent(algorithm), datamodule=data)


def test_the_same_algorithm_goes_on_with_its_data_its_clock_and_its_random_stream() -> None:
    data, agent = tiny_data(), tiny_agent()
    tiny_trainer(max_epochs=1).fit(agent, datamodule=data)
    fresh = tiny_agent().generator.get_state()
    stream, seconds = agent.generator.get_state(), agent.wall_clock_s
    assert not torch.equal(stream, fresh)
    trainer = tiny_trainer(max_epochs=1)
    trainer.fit(agent, datamodule=data)
    assert data.environment_steps == INITIAL_STEPS + 2 * ITERATION_STEPS
    assert trainer.callback_metrics["progress/wall_clock_s"] > seconds
    repeated = tiny_agent()
    tiny_trainer(max_epochs=1).fit(repeated, datamodule=tiny_data())
    assert not torch.equal(agent.generator.get_state(), repeated.generator.get_state())


@pytest.fixture
def double_precision() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("double_precision")
def test_weights_that_are_not_single_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"weights of PEARL = torch\.float64"):
        tiny_trainer().fit(tiny_agent(), datamodule=tiny_data())


def test_another_default_device_is_refused() -> None:
    with torch.device("meta"), pytest.raises(ConfigurationError, match="set_default_device = 'meta'"):
        tiny_data()


@pytest.mark.parametrize("exact", [False, True])
def test_a_run_goes_on_from_a_checkpoint_only_with_what_was_collected(tmp_path: Path, exact: bool) -> None:
    def fit(epochs: int, checkpoint: str | None = None) -> ModelCheckpoint:
        saving = ModelCheckpoint(tmp_path / str(epochs), save_last=True)
        callbacks = [saving, *([ExactResume()] if exact else [])]
        trainer = tiny_trainer(callbacks=callbacks, enable_checkpointing=True, max_epochs=epochs)
        data = tiny_data()
        trainer.fit(tiny_agent(), datamodule=data, ckpt_path=checkpoint, weights_only=True)
        assert data.environment_steps == INITIAL_STEPS + epochs * ITERATION_STEPS
        return saving

    resume: Callable[[], ModelCheckpoint] = lambda: fit(2, fit(1).last_model_path)  # noqa: E731
    if exact:
        assert resume().last_model_path
    else:
        with pytest.raises(ConfigurationError, match="ExactResume"):
            resume()
