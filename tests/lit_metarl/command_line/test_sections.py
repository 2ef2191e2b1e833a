"""A class names its own argument; the command line says where the configuration holds it."""

from __future__ import annotations

from typing import Any

import pytest
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import EarlyStopping

from datamodules import RolloutDataModule
from datamodules.plans import CollectionPlan
from datamodules.tasks import BetaFamily, CEMTaskSampler
from envs import HalfCheetahVel, PointRobot
from envs.errors import ConfigurationError, ContractError
from lit_metarl.algorithms import VariBAD
from lit_metarl.algorithms.ppo_plan import PPOPlan
from lit_metarl.callbacks import TensorBoardFigures
from lit_metarl.command_line.sections import placed

CONFIGURATION: dict[str, Any] = {
    "seed_everything": 1,
    "trainer": {
        "max_epochs": 1,
        "callbacks": [{"class_path": "pytorch_lightning.callbacks.EarlyStopping", "init_args": {"monitor": "a"}}],
    },
    "model": {"class_path": "lit_metarl.algorithms.VariBAD", "init_args": {"latent_dim": 5, "ppo": {"epochs": 2}}},
    "data": {
        "env": {"class_path": "envs.HalfCheetahVel", "init_args": {"max_velocity": 3.0}},
        "task_sampler": {
            "class_path": "datamodules.tasks.CEMTaskSampler",
            "init_args": {"family": {"class_path": "datamodules.tasks.BetaFamily", "init_args": {}}},
        },
        "collection": {"tasks_per_iteration": 4},
        "reward_model": None,
    },
    "figures": {"share": 0.1},
}


@pytest.mark.parametrize(
    ("owner", "section"),
    [
        (VariBAD, "model.init_args"),
        (PPOPlan, "model.init_args.ppo"),  # an argument of VariBAD's base
        (RolloutDataModule, "data"),
        (CollectionPlan, "data.collection"),
        (HalfCheetahVel, "data.env.init_args"),
        (CEMTaskSampler, "data.task_sampler.init_args"),
        (BetaFamily, "data.task_sampler.init_args.family.init_args"),
        (Trainer, "trainer"),
        (EarlyStopping, "trainer.callbacks.init_args"),
        (TensorBoardFigures, "figures"),
    ],
)
def test_a_mistake_gets_the_key_under_which_the_arguments_of_its_class_stand(owner: type, section: str) -> None:
    error = placed(ConfigurationError("name", 2, "it must be 1", "Use 1.", of=owner), CONFIGURATION)
    assert str(error) == f"{section}.name = 2 is not usable: it must be 1. Use 1."


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("name", 2, "it must be 1", "Use 1."),
        ConfigurationError("name", 2, "it must be 1", "Use 1.", of=PointRobot),
        ContractError("PointRobot.reward", "nothing", "a Reward"),
    ],
)
def test_a_mistake_of_no_class_in_the_configuration_stays_as_it_is(error: ConfigurationError) -> None:
    assert placed(error, CONFIGURATION) is error
