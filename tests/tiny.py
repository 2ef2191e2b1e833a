"""Tiny runs from Python, without the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

from datamodules import RolloutDataModule
from datamodules.plans import BeliefPlan, CollectionPlan, EvaluationPlan, MetaBatchPlan
from datamodules.relabeling import NoRelabeler
from datamodules.tasks import TaskSampler, UniformTaskSampler
from envs import MetaEnv, PointRobot
from lit_metarl.algorithms import MAML, PEARL, RL2, MetaRLModule, PPOPlan, VariBAD
from lit_metarl.networks import RecurrentEncoderPlan

SETTINGS: dict[type[MetaRLModule], dict[str, Any]] = {
    PEARL: {"exploration_episodes": 1, "layers": [8], "encoder_layers": [8]},
    VariBAD: {"encoder": RecurrentEncoderPlan(hidden=8), "layers": [8], "ppo": PPOPlan(minibatches=2)},
    RL2: {"encoder": RecurrentEncoderPlan(hidden=8), "layers": [8], "ppo": PPOPlan(minibatches=2)},
    MAML: {"episodes_per_step": 1, "layers": [8]},
}

META_STEPS, INITIAL_STEPS, ITERATION_STEPS = 3, 4 * 20, 2 * 2 * 20
"""Of PEARL: meta-steps an epoch; environment steps before training and in an epoch."""


def tiny_data(
    env: Callable[[int, int], MetaEnv] = PointRobot, task_sampler: TaskSampler | None = None, seed: int = 1
) -> RolloutDataModule:
    """Two trials in an epoch, on a point robot by default, and three meta-steps for an algorithm with replay."""
    return RolloutDataModule(
        env,
        task_sampler or UniformTaskSampler(),
        NoRelabeler(),
        task_slots=4,
        collection=CollectionPlan(tasks_per_iteration=2, initial_episodes=1, adapted_episodes=1),
        batches=MetaBatchPlan(meta_steps=META_STEPS, tasks=2, transitions=8, context=8),
        belief=BeliefPlan(capacity=4, trials=2),
        evaluation=EvaluationPlan(validation_tasks=3, test_tasks=5, num_envs=4),
        replay_capacity=1000,
        seed=seed,
    )


def tiny_agent(algorithm: type[MetaRLModule] = PEARL, **settings: Any) -> MetaRLModule:
    """An algorithm with small networks, and further `settings`."""
    return algorithm(PointRobot.meta_spec, **{**SETTINGS.get(algorithm, SETTINGS[PEARL]), **settings})


def tiny_trainer(**arguments: Any) -> pl.Trainer:
    """A Trainer of two epochs that writes nothing unless it is told to."""
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return pl.Trainer(
        **{"max_epochs": 2, "accelerator": "cpu", "enable_model_summary": False, **silent, **arguments}  # type: ignore[arg-type]
    )
