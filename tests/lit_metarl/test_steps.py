"""Steps: what Lightning counts, and what loggers write against."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    Callback,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    ThroughputMonitor,
)
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_metarl.algorithms import MAML, PEARL, RL2, MetaRLModule, VariBAD
from lit_metarl.steps import log_against, log_as_given, log_at
from tests.tiny import INITIAL_STEPS, ITERATION_STEPS, META_STEPS, tiny_agent, tiny_data, tiny_trainer

FIRST, SECOND = INITIAL_STEPS + ITERATION_STEPS, INITIAL_STEPS + 2 * ITERATION_STEPS
"""Environment steps when the first and the second epoch end."""


class Recorder(Logger):
    """A logger that remembers what it was told."""

    name = "recorder"  # type: ignore[assignment]
    version = 0  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[dict[str, float], int | None]] = []

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.told.append((dict(metrics), step))


def test_a_logger_writes_against_the_axis_until_it_is_left_as_it_was() -> None:
    logger, steps = Recorder(), [100]
    log_against(lambda: steps[0], [logger])
    logger.log_metrics({"a": 1.0, "epoch": 0.0}, step=3)
    steps[0] = 200
    logger.log_metrics(metrics={"a": 2.0})
    log_at(150, {"a": 3.0}, [logger])
    log_against(lambda: 7, [logger])  # of another run: the last one counts
    logger.log_metrics({"a": 4.0}, 1)
    log_as_given([logger])
    logger.log_metrics({"a": 5.0}, step=3)
    log_at(151, {"a": 6.0}, [logger])
    assert logger.told == [
        ({"a": 1.0}, 100),
        ({"a": 2.0}, 200),
        ({"a": 3.0}, 150),
        ({"a": 4.0}, 7),
        ({"a": 5.0}, 3),
        ({"a": 6.0}, 151),
    ]


class OptimizerSteps(Callback):
    """Remembers `trainer.global_step` before every optimizer step and after every batch."""

    def __init__(self) -> None:
        self.before: list[int] = []
        self.after: list[int] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, *args: Any) -> None:
        self.before.append(trainer.global_step)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        self.after.append(trainer.global_step)


@pytest.mark.parametrize(("algorithm", "meta_steps"), [(PEARL, META_STEPS), (VariBAD, 1), (RL2, 1), (MAML, 1)])
def test_lightning_counts_meta_steps_however_many_optimizer_steps_they_take(
    algorithm: type[MetaRLModule], meta_steps: int
) -> None:
    steps = OptimizerSteps()
    tiny_trainer(callbacks=[steps]).fit(tiny_agent(algorithm), datamodule=tiny_data())
    total = 2 * meta_steps
    assert steps.after == list(range(1, total + 1))
    assert steps.before == sorted(steps.before)
    assert set(steps.before) == set(range(total))
    if algorithm is PEARL:
        assert len(steps.before) == 2 * total  # which Lightning by itself would count


@pytest.mark.parametrize("limit", [1, 2, 4, 5])
def test_max_steps_is_a_number_of_meta_steps(limit: int) -> None:
    trainer = tiny_trainer(max_steps=limit)
    trainer.fit(tiny_agent(), datamodule=tiny_data())
    assert trainer.fit_loop.total_batch_idx + 1 == trainer.global_step == limit


def test_a_checkpoint_every_few_steps_is_written_and_named_by_meta_steps(tmp_path: Path) -> None:
    every_two = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    tiny_trainer(callbacks=[every_two], enable_checkpointing=True).fit(tiny_agent(), datamodule=tiny_data())
    assert {path.name for path in tmp_path.iterdir()} == {"step=2.ckpt", "step=4.ckpt", "step=6.ckpt"}


def weights_after(meta_steps: int, *callbacks: Callback) -> torch.Tensor:
    torch.manual_seed(0)
    agent = tiny_agent()
    if meta_steps > 0:
        trainer = tiny_trainer(
            callbacks=list(callbacks), max_epochs=1, limit_train_batches=meta_steps, limit_val_batches=0
        )
        trainer.fit(agent, datamodule=tiny_data())
    return torch.nn.utils.parameters_to_vector(agent.parameters()).detach()


def test_averaged_weights_are_updated_every_second_meta_step() -> None:
    # They are first after meta-step 1, next after 3; counted in PEARL's optimizer steps, they never would be.
    averaged = weights_after(2, EMAWeightAveraging(update_every_n_steps=2))
    assert torch.equal(averaged, weights_after(1))
    assert not torch.equal(averaged, weights_after(0))


class Talkative(PEARL):
    """Logs a scalar of its own in every meta-step and every validation batch."""

    def training_step(self, batch: Any, batch_idx: int) -> None:
        super().training_step(batch, batch_idx)
        self.log("mine", float(batch_idx), on_step=True, on_epoch=True)

    def validation_step(self, trials: Any, batch_idx: int) -> None:
        super().validation_step(trials, batch_idx)
        self.log("mine_validated", float(batch_idx), on_step=True, on_epoch=True)


class Direct(Callback):
    """Logs against Lightning's own count, as many callbacks do."""

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        trainer.loggers[0].log_metrics({"direct": 1.0}, step=trainer.global_step)


def csv_steps(folder: Path) -> dict[str, list[int]]:
    with next(folder.rglob("metrics.csv")).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [int(row["step"]) for row in rows if row[name]] for name in rows[0] if name != "step"}


def tensorboard_steps(folder: Path) -> dict[str, list[int]]:
    events = EventAccumulator(str(next(folder.rglob("events.*")).parent))
    events.Reload()
    return {name: [event.step for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


@pytest.mark.parametrize(
    ("make_logger", "read"),
    [(CSVLogger, csv_steps), (TensorBoardLogger, tensorboard_steps)],
    ids=["csv", "tensorboard"],
)
def test_whatever_logs_a_scalar_it_is_written_against_environment_steps(
    tmp_path: Path, make_logger: Callable[[Path], Logger], read: Callable[[Path], dict[str, list[int]]]
) -> None:
    monitors = [LearningRateMonitor(), ThroughputMonitor(batch_size_fn=lambda batch: 1, window_size=2), Direct()]
    trainer = tiny_trainer(logger=make_logger(tmp_path), callbacks=monitors, log_every_n_steps=1)
    trainer.fit(tiny_agent(Talkative), datamodule=tiny_data())
    steps = read(tmp_path)
    each = META_STEPS * [FIRST] + META_STEPS * [SECOND]
    assert steps["mine_step"] == steps["direct"] == each
    assert steps["mine_epoch"] == steps["mine_validated_step"] == steps["val/return"] == [FIRST, SECOND]
    assert steps["lr-Adam"][-2 * META_STEPS + 1 :] == each[1:]  # before these: when the first epoch begins
    assert "epoch" not in steps
    assert {name for name in steps if name.startswith("train/") and "per_sec" in name}  # throughput
    for name, found in steps.items():
        assert set(found) <= {0, FIRST, SECOND}, name
        assert found == sorted(found), name


def test_after_a_run_its_logger_writes_against_the_steps_that_it_is_given() -> None:
    logger = Recorder()
    trainer = tiny_trainer(logger=logger, max_epochs=1)
    trainer.fit(tiny_agent(), datamodule=tiny_data())
    logger.log_metrics({"mine": 1.0}, 5)
    assert logger.told[-1] == ({"mine": 1.0}, 5)


class WithSchedulers(PEARL):
    """Gives Lightning schedulers, and steps them if it is told to."""

    steps_them = False

    def configure_optimizers(self) -> Any:
        optimizers = super().configure_optimizers()
        return optimizers, [torch.optim.lr_scheduler.StepLR(optimizer, 1) for optimizer in optimizers]

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        for scheduler in self.lr_schedulers() if self.steps_them else ():  # type: ignore[union-attr]
            scheduler.step()  # type: ignore[call-arg]


@pytest.mark.parametrize("steps_them", [False, True])
def test_schedulers_that_nobody_steps_are_warned_of(
    steps_them: bool, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(WithSchedulers, "steps_them", steps_them)
    tiny_trainer().fit(tiny_agent(WithSchedulers), datamodule=tiny_data())
    assert any("WithSchedulers were not stepped" in str(warning.message) for warning in recwarn) != steps_them
