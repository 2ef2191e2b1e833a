"""Robust supervised meta-learning: sines to be fitted from ten points (RoML, Greenberg et al. 2023, arXiv 2301.11147).

A task is a sine of unknown amplitude, phase and frequency. MAML finds parameters from which one gradient step
on ten points leads to a good fit. Three ways to choose what it trains on, the same mathematics otherwise:
tasks drawn uniformly, the worst of them only (CVaR-ML), or hard ones more often (RoML).

    python examples/sine_regression.py --method roml --seed 1
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jsonargparse import auto_cli
from jsonargparse.typing import PositiveInt
from torch import Tensor, nn
from torch.func import functional_call

from datamodules.tasks import CEMTaskSampler, TaskSampler, UniformTaskSampler
from envs.meta_env_spec import MetaEnvSpec, TaskChanges
from envs.randomness import make_generator
from envs.task_distributions import UniformBox
from lit_metarl.evaluation import cvar, worst
from lit_metarl.networks import TaskLinear
from lit_metarl.optim.task_gradient import Parameters, for_every_task, gradient_step

SINES = UniformBox([0.1, 0.0, 0.3], [5.0, 2 * math.pi, 3.0])
SPEC = MetaEnvSpec("Sine", 1, 1, ("amplitude", "phase", "frequency"), ("x",), 1, TaskChanges.REWARD)

Method = Literal["uniform", "cvar_ml", "roml"]


class Points(NamedTuple):
    """Points of every task's sine, `[tasks, n, 1]` each."""

    x: Tensor
    y: Tensor


def points(sines: Tensor, number: int, generator: torch.Generator) -> Points:
    """`number` points of each of `sines` `[tasks, 3]`, x uniform in [0, 2π]."""
    amplitude, phase, frequency = sines[:, :, None, None].unbind(1)
    x = 2 * math.pi * torch.rand(len(sines), number, 1, generator=generator)
    return Points(x, amplitude * (frequency * x + phase).sin())


@dataclass(frozen=True)
class Settings:
    """How it is trained and tested; the defaults are the published ones.

    Attributes:
        updates: outer updates (Adam).
        tasks: tasks of each.
        support: points that a task is adapted to.
        query: points that the adaptation is judged by while training.
        inner_rate: step size α of the inner step.
        learning_rate: of the outer updates.
        width: of the two hidden layers.
        alpha: tail of tasks that is aimed at, and reported.
        round_size: tasks between two updates of RoML's task distribution.
        test_tasks: tasks of the test.
        test_query: points of each that the fit is judged by.
    """

    updates: int = 10_000
    tasks: int = 20
    support: int = 10
    query: int = 10
    inner_rate: float = 0.01
    learning_rate: float = 1e-3
    width: int = 40
    alpha: float = 0.05
    round_size: int = 200
    test_tasks: int = 10_000
    test_query: int = 32


class SineMAML:
    """A network that is trained to fit a sine after one gradient step.

    Args:
        method: how the training tasks are chosen.
        settings: sizes and rates.
        seed: seed of weights, tasks and points.
    """

    def __init__(self, method: Method, settings: Settings, seed: int) -> None:
        torch.manual_seed(seed)  # of the weights
        width = settings.width
        self.network = nn.Sequential(
            TaskLinear(1, width), nn.ReLU(), TaskLinear(width, width), nn.ReLU(), TaskLinear(width, 1)
        )
        self.settings = settings
        self.cvar_share = settings.alpha if method == "cvar_ml" else 1.0
        self.sampler: TaskSampler = UniformTaskSampler()
        if method == "roml":
            self.sampler = CEMTaskSampler(alpha=settings.alpha, round_size=settings.round_size, reference_share=0.0)
        self.sampler.bind(SPEC, SINES, seed, rank=0)
        self.optimizer = torch.optim.Adam(self.network.parameters(), settings.learning_rate)
        self.generator = make_generator(seed, 0, "points")

    def losses(self, parameters: Parameters, given: Points) -> Tensor:
        """Mean squared error of every task's own parameters, `[tasks]`."""
        fitted: Tensor = functional_call(self.network, parameters, (given.x,), tie_weights=False)
        return (fitted - given.y).square().mean((1, 2))

    def adapt(self, sines: Tensor, generator: torch.Generator, steps: int = 1) -> Parameters:
        """Every task's parameters after gradient steps on points of its sine, `[tasks, ...]` each."""
        support = points(sines, self.settings.support, generator)
        parameters = for_every_task(dict(self.network.named_parameters()), len(sines))
        for _ in range(steps):
            parameters = gradient_step(
                parameters, lambda values: self.losses(values, support), self.settings.inner_rate
            )
        return parameters

    def update(self) -> Tensor:
        """An outer update; the losses of its tasks after adaptation, `[tasks]`."""
        sampled = self.sampler.sample(self.settings.tasks)
        sines = sampled.tasks
        adapted = self.adapt(sines, self.generator)
        losses = self.losses(adapted, points(sines, self.settings.query, self.generator))
        self.sampler.update(sampled, -losses.detach())
        self.optimizer.zero_grad()
        losses[worst(-losses.detach(), self.cvar_share)].mean().backward()
        self.optimizer.step()
        return losses.detach()

    @torch.no_grad()
    def test(self, steps: int = 1) -> Tensor:
        """Losses after `steps` inner steps on the test tasks, the same for all seeds, `[tasks]`."""
        generator = make_generator(0, 0, "test")
        sines = SINES.sample(self.settings.test_tasks, generator)
        adapted = self.adapt(sines, generator, steps)
        return self.losses(adapted, points(sines, self.settings.test_query, generator))


def main(method: Method = "roml", seed: int = 1, threads: PositiveInt = 1, settings: Settings = Settings()) -> None:
    """Train, then print mean and tail of the loss on test tasks.

    Args:
        method: how the training tasks are chosen.
        seed: seed of weights, tasks and points.
        threads: of the network.
        settings: sizes and rates.
    """
    torch.set_num_threads(threads)
    maml = SineMAML(method, settings, seed)
    for update in range(settings.updates):
        losses = maml.update()
        if (update + 1) % 1000 == 0:
            figures = {name: round(value, 3) for name, value in maml.sampler.metrics().items() if "mean" in name}
            print(f"update {update + 1}: training loss {losses.mean():.2f} {figures or ''}", file=sys.stderr)
    print("method,seed,inner_steps,mean,cvar")
    for steps in range(6):
        tested = maml.test(steps)
        print(f"{method},{seed},{steps},{tested.mean():.4f},{-cvar(-tested, settings.alpha):.4f}")


if __name__ == "__main__":
    auto_cli(main)
