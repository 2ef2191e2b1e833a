"""What `ExactResume` promises to those who build their own `Trainer`."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import AsyncCheckpointIO

from datamodules import RolloutDataModule
from envs import ConfigurationError
from lit_metarl.algorithms import PEARL
from lit_metarl.checkpoints import ExactResume, UnusableCheckpoint, whole
from tests.tiny import tiny_agent, tiny_data, tiny_trainer


class Remembering(PEARL):
    """Calls what many users of Lightning call."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.save_hyperparameters()


def trainer_that_saves(folder: Path, exact: ExactResume) -> pl.Trainer:
    saving = ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    return tiny_trainer(
        max_epochs=1, callbacks=[saving, exact], enable_checkpointing=True, default_root_dir=folder, logger=False
    )


def first_actions(data: RolloutDataModule) -> list[float]:
    actions: list[float] = data.experience.rings["transitions"].rows(0, 20)["action"].flatten().tolist()
    return actions


def test_one_callback_may_serve_several_trainers(tmp_path: Path) -> None:
    exact = ExactResume()
    for folder in ("first", "second"):
        trainer_that_saves(tmp_path / folder, exact).fit(tiny_agent(), datamodule=tiny_data())
        whole(tmp_path / folder / "last.ckpt")


def test_what_is_saved_beside_a_new_data_side_is_its_own(tmp_path: Path) -> None:
    exact, data = ExactResume(), [tiny_data(seed=seed) for seed in (1, 2)]
    for each in data:
        trainer_that_saves(tmp_path, exact).fit(tiny_agent(), datamodule=each)
    restored = tiny_data(seed=2)
    trainer_that_saves(tmp_path / "resumed", ExactResume()).fit(
        tiny_agent(), datamodule=restored, ckpt_path=tmp_path / "last.ckpt"
    )
    assert first_actions(restored) == first_actions(data[1]) != first_actions(data[0])


def test_hyper_parameters_that_lightning_saves_do_not_make_a_checkpoint_unreadable(tmp_path: Path) -> None:
    agent, data = Remembering(tiny_data().meta_spec, layers=[8], encoder_layers=[8]), tiny_data()
    trainer = trainer_that_saves(tmp_path, ExactResume())
    trainer.fit(agent, datamodule=data)
    trainer.test(agent, datamodule=data, ckpt_path=tmp_path / "last.ckpt")
    assert "hyper_parameters" not in torch.load(tmp_path / "last.ckpt", weights_only=True)


def test_a_checkpoint_that_is_saved_after_a_test_says_that_it_holds_the_weights_only(tmp_path: Path) -> None:
    agent, data, trainer = tiny_agent(), tiny_data(), trainer_that_saves(tmp_path, ExactResume())
    trainer.fit(agent, datamodule=data)
    trainer.test(agent, datamodule=data)
    with pytest.warns(UserWarning, match="the weights only"):
        trainer.save_checkpoint(tmp_path / "late.ckpt")
    with pytest.raises(UnusableCheckpoint, match="weights only"):
        whole(tmp_path / "late.ckpt")


def test_another_way_to_write_checkpoints_is_refused(tmp_path: Path) -> None:
    trainer = tiny_trainer(callbacks=[ExactResume()], plugins=[AsyncCheckpointIO()])
    with pytest.raises(ConfigurationError, match="trainer.plugins = 'AsyncCheckpointIO'"):
        trainer.fit(tiny_agent(), datamodule=tiny_data())


def test_lightnings_own_way_to_load_an_algorithm_is_refused_with_ours() -> None:
    with pytest.raises(ConfigurationError, match=r"load_trained\(path\).algorithm"):
        PEARL.load_from_checkpoint("last.ckpt")


def test_steps_of_a_checkpoint_that_was_tested_before_training_are_not_those_of_the_new_run(tmp_path: Path) -> None:
    trainer_that_saves(tmp_path, ExactResume()).fit(tiny_agent(), datamodule=tiny_data())
    agent, data, fresh = tiny_agent(), tiny_data(), tiny_data()
    tiny_trainer().test(agent, datamodule=data, ckpt_path=tmp_path / "last.ckpt")
    for each in (data, fresh):
        tiny_trainer(max_epochs=1).fit(tiny_agent(), datamodule=each)
    assert data.environment_steps == fresh.environment_steps
