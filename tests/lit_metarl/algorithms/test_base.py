"""What every algorithm saves besides weights and optimizers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import pytorch_lightning as pl
import torch

from datamodules import RolloutDataModule
from datamodules.collection import Trials
from envs import PointRobot
from lit_metarl.checkpoints import ExactResume
from tests.environments import Blind


def training() -> Blind:
    model = Blind(PointRobot.meta_spec)
    model._trainer = SimpleNamespace(state=SimpleNamespace(fn="fit"), callbacks=[ExactResume()], ckpt_path=None)  # type: ignore[assignment]
    return model


def test_a_resumed_run_continues_its_clock_its_random_stream_and_the_epochs_sums() -> None:
    model, resumed = training(), training()
    model._seconds_before = 1000.0
    model._sums, model._updates = {"loss": torch.tensor(6.0)}, 3
    model._last_logged = {"step": 40.0, "train/loss": 2.0}
    torch.rand(7, generator=model.generator)
    checkpoint: dict[str, Any] = {}
    model.on_save_checkpoint(checkpoint)
    resumed.on_load_checkpoint(checkpoint)
    assert resumed.wall_clock_s == pytest.approx(1000.0, abs=5.0)
    assert (resumed._sums, resumed._updates) == (model._sums, 3)
    assert resumed._last_logged == model._last_logged
    assert torch.equal(torch.rand(3, generator=resumed.generator), torch.rand(3, generator=model.generator))


def test_what_is_logged_of_an_epoch_are_the_means_of_its_own_updates() -> None:
    model, logged = training(), []
    data = MagicMock(spec=RolloutDataModule, environment_steps=5, metrics={})
    fit_loop = pl.Trainer(logger=False, accelerator="cpu").fit_loop
    model._trainer = SimpleNamespace(datamodule=data, fit_loop=fit_loop, lr_scheduler_configs=[])  # type: ignore[assignment]
    model.update = lambda batch: {"loss": torch.tensor(batch)}  # type: ignore[method-assign]
    model.log_dict = logged.append  # type: ignore[method-assign,assignment]
    for epoch in ([1.0, 3.0], [10.0, 20.0, 60.0]):
        for number, batch in enumerate(epoch):
            model.training_step(batch, number)
        model.on_train_epoch_end()
    assert [scalars["train/loss"] for scalars in logged] == [2.0, 30.0]


def test_the_task_sampler_is_told_the_returns_of_whole_validation_trials_but_not_those_of_a_sanity_check() -> None:
    model, told = Blind(PointRobot.meta_spec), []
    data = MagicMock(spec=RolloutDataModule, environment_steps=5)
    data.task_sampler = SimpleNamespace(take_validation=lambda scores: told.append(scores.tolist()))
    model.log_dict = lambda scalars: None  # type: ignore[method-assign,assignment]
    rewards = torch.tensor([[1.0, 2.0, 4.0], [-1.0, 0.0, 5.0]])[..., None]  # episodes of one step
    trials = Trials.of(torch.zeros(2, 2), {"sparse_reward": rewards, "valid": torch.ones(2, 3, 1, dtype=torch.bool)})
    for checking in (True, False):
        state = SimpleNamespace(fn="fit")
        model._trainer = SimpleNamespace(datamodule=data, state=state, sanity_checking=checking)  # type: ignore[assignment]
        model.validation_step(trials, 0)
        model.on_validation_epoch_end()
    assert told == [[7.0, 4.0]]
