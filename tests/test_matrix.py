"""Every pair of algorithm, task sampler and environment: two tiny iterations, or the documented refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from datamodules import BeliefPlan, CollectionPlan, EvaluationPlan, MetaBatchPlan, RolloutDataModule
from datamodules.checks import check_agent
from datamodules.relabeling import (
    GeneralizedHindsightRelabeler,
    HFRRelabeler,
    HIPIRelabeler,
    NoRelabeler,
    RandomRelabeler,
    Relabeler,
)
from datamodules.tasks import (
    CEMTaskSampler,
    FixedTaskSampler,
    MPTSSampler,
    PDTSSampler,
    PredictiveTaskSampler,
    RiskPredictorPlan,
    TaskSampler,
    UniformTaskSampler,
)
from envs import ENVIRONMENTS, ConfigurationError, GridNavi, MetaEnv, PointRobot, TaskChanges
from envs.manipulation.meta_world import MetaWorld
from lit_metarl.algorithms import MAML, PEARL, RL2, MetaRLModule, PPOPlan, VariBAD
from lit_metarl.networks import HypernetworkPlan, RecurrentEncoderPlan

ITERATIONS, HORIZON = 2, 3
ALGORITHMS: dict[type[MetaRLModule], dict[str, Any]] = {
    PEARL: {"exploration_episodes": 1, "layers": [8], "encoder_layers": [8]},
    VariBAD: {"encoder": RecurrentEncoderPlan(hidden=8), "layers": [8], "ppo": PPOPlan(minibatches=2)},
    RL2: {"encoder": RecurrentEncoderPlan(hidden=8), "layers": [8], "ppo": PPOPlan(minibatches=2)},
    MAML: {"layers": [8], "episodes_per_step": 1},
}
SAMPLERS: dict[str, Callable[[], TaskSampler]] = {
    "uniform": UniformTaskSampler,
    "fixed": FixedTaskSampler,
    "cem": lambda: CEMTaskSampler(round_size=5),
    "mpts": lambda: MPTSSampler(warmup_updates=1, predictor=RiskPredictorPlan(batch=3)),
    "pdts": lambda: PDTSSampler(warmup_updates=1, predictor=RiskPredictorPlan(batch=3)),
}
RELABELERS: dict[str, Callable[[], Relabeler]] = {
    "random": RandomRelabeler,
    "hfr_q": lambda: HFRRelabeler(utility_batch=4),
    "hfr_bellman": lambda: HFRRelabeler(utility="bellman", utility_batch=4),
    "generalized_hindsight": lambda: GeneralizedHindsightRelabeler(references=8),
    "hipi": lambda: HIPIRelabeler(context=4),
}
REWARD_ENVS = [env_class for env_class in ENVIRONMENTS if env_class.meta_spec.task_changes is TaskChanges.REWARD]
OTHER_ENVS = [env_class for env_class in ENVIRONMENTS if env_class not in REWARD_ENVS]

with_every_relabeler = pytest.mark.parametrize("relabeler", RELABELERS)


@cache
def short(env_class: type[MetaEnv]) -> type[MetaEnv]:
    """The environment with episodes of a few steps."""
    return type(
        f"Short{env_class.__name__}", (env_class,), {"meta_spec": replace(env_class.meta_spec, horizon=HORIZON)}
    )


def maker(env_class: type[MetaEnv]) -> Callable[[int, int], MetaEnv]:
    """Makes the environment with short episodes; Meta-World's without other processes."""
    if issubclass(env_class, MetaWorld):
        return partial(env_class, horizon=HORIZON, processes=1)  # type: ignore[call-arg]  # as all of them take
    return short(env_class)


def train(
    env_class: type[MetaEnv],
    algorithm: type[MetaRLModule],
    sampler: str = "uniform",
    relabeler: Relabeler | None = None,
    **settings: Any,
) -> pl.Trainer:
    """Two iterations of it, then the test; with further `settings` of the algorithm."""
    data = RolloutDataModule(
        maker(env_class),
        SAMPLERS[sampler](),
        relabeler or NoRelabeler(),
        task_slots=3,
        collection=CollectionPlan(tasks_per_iteration=3, adapted_episodes=1, initial_episodes=1),
        batches=MetaBatchPlan(meta_steps=2, tasks=2, transitions=4, context=4),
        belief=BeliefPlan(capacity=4, trials=2),
        evaluation=EvaluationPlan(validation_tasks=2, test_tasks=2, num_envs=2),
        replay_capacity=200,
    )
    torch.manual_seed(0)
    agent = algorithm(data.meta_spec, **ALGORITHMS[algorithm], **settings)
    check_agent(data, agent)
    before = {name: value.clone() for name, value in agent.named_parameters()}
    trainer = pl.Trainer(
        max_epochs=ITERATIONS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    trainer.fit(agent, datamodule=data)
    assert trainer.current_epoch == ITERATIONS
    assert data.environment_steps > 0
    if isinstance(data.task_sampler, CEMTaskSampler):
        assert data.task_sampler.rounds == 1
    if isinstance(data.task_sampler, PredictiveTaskSampler):
        assert data.task_sampler.selects
    after = dict(agent.named_parameters())
    assert all(torch.isfinite(value).all() for value in after.values())
    no_step = trainer.callback_metrics.get("train/line_search_failed", torch.zeros(())) == 1  # MAML keeps θ then
    assert no_step or any(not torch.equal(value, before[name]) for name, value in after.items())
    trainer.test(agent, datamodule=data, verbose=False)
    assert all(torch.isfinite(value) for value in trainer.callback_metrics.values())
    return trainer


# There are more samplers than algorithms, so an environment meets all of both; each sampler meets each algorithm.
@pytest.mark.parametrize(
    ("env_class", "sampler", "algorithm"),
    [
        pytest.param(env_class, sampler, algorithm, id=f"{algorithm.__name__}-{sampler}-{env_class.__name__}")
        for row, env_class in enumerate(ENVIRONMENTS)
        for column, sampler in enumerate(SAMPLERS)
        for algorithm in [list(ALGORITHMS)[(row + column) % len(ALGORITHMS)]]
    ],
)
def test_an_algorithm_learns_from_tasks_of_a_sampler(
    env_class: type[MetaEnv], sampler: str, algorithm: type[MetaRLModule]
) -> None:
    if algorithm is PEARL and env_class.meta_spec.discrete_actions:
        with pytest.raises(ConfigurationError, match="continuous"):
            train(env_class, algorithm, sampler)
    else:
        train(env_class, algorithm, sampler)


@pytest.mark.parametrize("algorithm", [VariBAD, RL2], ids=lambda algorithm: algorithm.__name__)
@pytest.mark.parametrize("env_class", [PointRobot, GridNavi], ids=lambda env: env.__name__)
def test_a_hypernetwork_generates_policies_of_both_kinds_of_actions(
    env_class: type[MetaEnv], algorithm: type[MetaRLModule]
) -> None:
    train(env_class, algorithm, hypernetwork=HypernetworkPlan(enabled=True))


@pytest.mark.parametrize("env_class", REWARD_ENVS, ids=lambda env: env.__name__)
@with_every_relabeler
def test_a_relabeler_works_where_tasks_differ_in_the_reward(env_class: type[MetaEnv], relabeler: str) -> None:
    if env_class.meta_spec.discrete_actions:
        pytest.skip("an algorithm with replay takes continuous actions")
    train(env_class, PEARL, relabeler=RELABELERS[relabeler]())


@pytest.mark.parametrize("env_class", OTHER_ENVS, ids=lambda env: env.__name__)
def test_relabeling_is_refused_where_tasks_change_the_dynamics(env_class: type[MetaEnv]) -> None:
    with pytest.raises(ConfigurationError, match="relabeling needs tasks that differ in the reward alone"):
        train(env_class, PEARL, relabeler=RandomRelabeler())


@with_every_relabeler
@pytest.mark.parametrize("algorithm", [VariBAD, RL2, MAML], ids=lambda algorithm: algorithm.__name__)
def test_relabeling_is_refused_for_an_algorithm_without_replay(relabeler: str, algorithm: type[MetaRLModule]) -> None:
    with pytest.raises(ConfigurationError, match="under their own tasks only"):
        train(PointRobot, algorithm, relabeler=RELABELERS[relabeler]())
