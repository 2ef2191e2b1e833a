"""Which way each metric improves, and that callbacks built in Python watch it that way."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from datamodules import RolloutDataModule
from datamodules.relabeling import NoRelabeler
from datamodules.tasks import UniformTaskSampler
from envs import ConfigurationError, PointRobot
from lit_metarl.algorithms import PEARL
from lit_metarl.evaluation import better_mode, check_modes

HIGH = [
    "val/return",
    "val/cvar",
    "val/return_trial",
    "val/cvar_trial",
    "val/return_episode_2",
    "val/return_exploration",
    "val/success",
    "test/return",
    "test/metaworld_success",
    "test/metaworld_success_reach-v3",
    "test/metaworld_return",
    "collect/return",
    "collect/return_exploration",
]
LOW = [
    "train/critic_loss",
    "train/value_loss",
    "train/policy_loss",
    "train/belief_reward",
    "train/belief_state",
    "train/belief_task",
    "train/line_search_failed",
    "reward_model/squared_error",
    "predictor/error",
    "collect/diverged_episodes",
]
NEITHER = [
    "train/kl",
    "train/belief_kl",
    "train/q",
    "train/entropy",
    "train/temperature",
    "train/belief_variance",
    "train/gradient_norm",
    "relabel/rate",
    "relabel/entropy",
    "relabel/utility",
    "relabel/log_partition",
    "cem/mean_goal_x",
    "predictor/mean_goal_x",
    "predictor/rank_correlation",
    "progress/meta_steps",
    "progress/wall_clock_s",
    "step",
    "epoch",
]


@pytest.mark.parametrize(
    ("metric", "mode"),
    [*((name, "max") for name in HIGH), *((name, "min") for name in LOW), *((name, None) for name in NEITHER)],
)
def test_the_direction_of_a_metric_follows_from_its_name(metric: str, mode: str | None) -> None:
    assert better_mode(metric) == mode


@pytest.mark.parametrize("callback", [EarlyStopping("val/return"), ModelCheckpoint(monitor="val/cvar")])
def test_a_callback_with_lightnings_default_mode_is_refused_for_what_grows(callback: object) -> None:
    with pytest.raises(ConfigurationError, match=r"mode = 'min'.* is better high\. Give mode='max'"):
        check_modes([callback])


def test_a_callback_that_watches_in_the_right_direction_or_nothing_is_accepted() -> None:
    check_modes([EarlyStopping("val/return", mode="max"), EarlyStopping("train/critic_loss"), ModelCheckpoint()])


def test_a_trainer_built_in_python_is_refused_before_it_starts() -> None:
    data = RolloutDataModule(PointRobot, UniformTaskSampler(), NoRelabeler())
    stopping = EarlyStopping("val/return")
    trainer = pl.Trainer(
        max_epochs=1, callbacks=[stopping], accelerator="cpu", logger=False, enable_checkpointing=False
    )
    with pytest.raises(ConfigurationError, match="EarlyStopping.mode = 'min'"):
        trainer.fit(PEARL(data.meta_spec), datamodule=data)
    assert data.environment_steps == 0
