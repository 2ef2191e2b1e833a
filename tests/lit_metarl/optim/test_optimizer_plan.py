"""Optimizers by their settings, and learning rates that change over a run."""

from __future__ import annotations

import math
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from envs import ConfigurationError
from lit_metarl.algorithms import MAML, PEARL, RL2, MetaRLModule, PPOPlan, PPOStepsPlan, VariBAD
from lit_metarl.algorithms.varibad import ELBOPlan
from lit_metarl.optim.optimizer_plan import OptimizerPlan, RunSchedule, Schedule
from tests.tiny import META_STEPS, tiny_agent, tiny_data, tiny_trainer

SCHEDULED = OptimizerPlan(schedule="linear")
SETTINGS: dict[type[MetaRLModule], dict[str, Any]] = {
    PEARL: {"optimizer": SCHEDULED},
    VariBAD: {"ppo": PPOPlan(minibatches=2, optimizer=SCHEDULED), "elbo": ELBOPlan(optimizer=SCHEDULED)},
    RL2: {"ppo": PPOPlan(minibatches=2, optimizer=SCHEDULED)},
    MAML: {"outer": "ppo", "ppo": PPOStepsPlan(optimizer=SCHEDULED)},
}


def rates(schedule: Schedule, meta_steps: int) -> list[float]:
    """The learning rate of every meta-step of a run."""
    optimizer = OptimizerPlan(schedule=schedule).build([nn.Parameter(torch.zeros(1))], 0.5)
    scheduler, found = RunSchedule(optimizer, schedule, meta_steps), []
    for _ in range(meta_steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_a_linear_schedule_ends_at_zero() -> None:
    assert rates("linear", 4) == [0.5, 0.375, 0.25, 0.125, 0.0]


def test_a_cosine_schedule_ends_at_zero() -> None:
    assert rates("cosine", 4) == pytest.approx([0.25 * (1.0 + math.cos(math.pi * step / 4)) for step in range(5)])


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (OptimizerPlan(), torch.optim.Adam),
        (OptimizerPlan("adamw"), torch.optim.AdamW),
        (OptimizerPlan("sgd"), torch.optim.SGD),
    ],
)
def test_without_weight_decay_an_optimizer_is_torchs_own(
    plan: OptimizerPlan, expected: type[torch.optim.Optimizer]
) -> None:
    optimizer = plan.build(nn.Linear(2, 3).parameters(), 0.1)
    assert type(optimizer) is expected
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.1, 0.0)


def test_weights_decay_and_biases_do_not() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    nn.init.ones_(network[0].weight)
    nn.init.ones_(network[0].bias)
    optimizer = OptimizerPlan("adamw", weight_decay=0.1).build(network.parameters(), learning_rate=0.5)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.allclose(network[0].weight, torch.full((3, 2), 1.0 - 0.5 * 0.1))
    assert bool((network[0].bias == 1.0).all() & (network[1].weight == 1.0).all())


@pytest.mark.parametrize("decay", [-0.1, math.inf, math.nan])
def test_a_weight_decay_that_is_none_is_refused(decay: float) -> None:
    with pytest.raises(ConfigurationError, match="weight_decay"):
        OptimizerPlan(weight_decay=decay)


class Rates(pl.Callback):
    """The learning rate of each optimizer at the start of every meta-step."""

    def __init__(self) -> None:
        self.seen: list[list[float]] = []

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.seen.append([optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers])


@pytest.mark.parametrize("algorithm", SETTINGS)
def test_every_optimizer_of_an_algorithm_follows_its_schedule(algorithm: type[MetaRLModule]) -> None:
    seen = Rates()
    agent = tiny_agent(algorithm, **SETTINGS[algorithm])
    tiny_trainer(callbacks=[seen], max_epochs=4).fit(agent, datamodule=tiny_data())
    steps = 4 * (META_STEPS if algorithm is PEARL else 1)
    assert len(seen.seen) == steps
    for of_optimizer in zip(*seen.seen):
        assert of_optimizer == pytest.approx([of_optimizer[0] * (1.0 - step / steps) for step in range(steps)])


def test_a_schedule_without_an_end_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="trainer.max_epochs = -1.*has no end"):
        tiny_trainer(max_epochs=-1).fit(tiny_agent(**SETTINGS[PEARL]), datamodule=tiny_data())
