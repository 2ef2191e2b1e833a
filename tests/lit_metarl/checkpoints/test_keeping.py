"""When checkpoints are written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from lit_metarl.checkpoints import ExactResume, LastCheckpoint, RunCheckpoint
from tests.tiny import tiny_agent, tiny_data, tiny_trainer


def test_a_checkpoint_that_monitors_a_validation_is_written_in_epochs_with_one_only(tmp_path: Path) -> None:
    kept = RunCheckpoint(tmp_path, "{epoch}", "val/return", mode="max", save_top_k=-1, save_on_train_epoch_end=True)
    settings = {"max_epochs": 4, "check_val_every_n_epoch": 2, "default_root_dir": tmp_path}
    trainer = tiny_trainer(callbacks=[kept, ExactResume()], enable_checkpointing=True, **settings)
    trainer.fit(tiny_agent(), datamodule=tiny_data())
    assert {path.name for path in tmp_path.glob("*.ckpt")} == {"epoch=1.ckpt", "epoch=3.ckpt"}


class Scores(Callback):
    """Gives every validation the next of some scores.

    Args:
        scores: in their order.
    """

    def __init__(self, *scores: float) -> None:
        self._scores = iter(scores)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.log("val/score", next(self._scores))


def best_of_scores(folder: Path) -> RunCheckpoint:
    return RunCheckpoint(folder, "best", "val/score", mode="max", enable_version_counter=False)


def fit(folder: Path, *callbacks: Callback, checkpoint: Path | None = None, **settings: Any) -> None:
    """Two epochs of three meta-steps, unless `settings` say otherwise."""
    given = {"enable_checkpointing": True, "num_sanity_val_steps": 0, "default_root_dir": folder, **settings}
    trainer = tiny_trainer(callbacks=[*callbacks, ExactResume()], **given)
    trainer.fit(tiny_agent(), datamodule=tiny_data(), ckpt_path=checkpoint)


def test_the_best_of_several_validations_within_an_epoch_is_kept_with_its_own_weights(tmp_path: Path) -> None:
    fit(tmp_path, Scores(1.0, 3.0, 2.0), best_of_scores(tmp_path), max_epochs=1, val_check_interval=1)
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["global_step"] == 2


def test_a_checkpoint_every_so_many_steps_that_falls_on_the_end_of_an_epoch_is_resumed_bit_by_bit(
    tmp_path: Path,
) -> None:
    every_epoch = LastCheckpoint(tmp_path / "first", "{step}", every_n_train_steps=3, save_top_k=-1)
    fit(tmp_path, every_epoch)
    (first,) = (tmp_path / "first").glob("*3.ckpt")
    fit(tmp_path, LastCheckpoint(tmp_path / "second", "last"), checkpoint=first)
    (uninterrupted,) = (tmp_path / "first").glob("*6.ckpt")
    whole, resumed = (
        torch.load(path, weights_only=True) for path in (uninterrupted, tmp_path / "second" / "last.ckpt")
    )
    assert all(torch.equal(value, resumed["state_dict"][name]) for name, value in whole["state_dict"].items())
    assert torch.equal(whole["algorithm"]["generator"], resumed["algorithm"]["generator"])


def test_the_best_checkpoint_is_found_where_it_was_moved_with_the_one_that_is_resumed_from(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    fit(old, Scores(2.0, 1.0), best_of_scores(old), LastCheckpoint(old, "last"))
    shutil.move(old, new)
    best = best_of_scores(tmp_path / "resumed")
    fit(new, Scores(1.5), best, checkpoint=new / "last.ckpt", max_epochs=3)
    assert (best.best_model_path, best.best_model_score) == (str(new / "best.ckpt"), 2.0)


def test_a_best_checkpoint_that_is_gone_is_told_of(tmp_path: Path) -> None:
    fit(tmp_path, Scores(2.0, 1.0), best_of_scores(tmp_path), LastCheckpoint(tmp_path, "last"))
    (tmp_path / "best.ckpt").unlink()
    with pytest.warns(UserWarning, match="best.ckpt, so far the best by val/score, is not there any more"):
        fit(tmp_path, Scores(1.5), best_of_scores(tmp_path), checkpoint=tmp_path / "last.ckpt", max_epochs=3)
