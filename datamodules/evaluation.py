"""Trials on held-out tasks, for validation and test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from datamodules import ranks
from datamodules.collection import Collector, Trials
from datamodules.collection.collector import ProgressReport
from datamodules.contracts import Agent
from datamodules.plans import EvaluationPlan
from envs.base import MetaEnv
from envs.randomness import derive_seed, make_generator

Watching = Callable[[str, int], AbstractContextManager[ProgressReport | None]]
"""Given what runs and the largest number of its environment steps, shows its progress."""


def unwatched(_description: str, _total_steps: int) -> AbstractContextManager[None]:
    """Shows nothing."""
    return nullcontext()


class EvaluationTrials:
    """Deterministic trials on given tasks, in groups whose randomness depends on nothing but the group.

    Several ranks run one group each at a time and exchange the results: every rank yields the trials of all groups,
    as a single process would.

    Args:
        make_env: makes the environment, given `num_envs` and a seed.
        tasks: `[tasks, task_dim]`.
        plan: how evaluation is done.
        purpose: names the random streams, so that validation and test differ.
        agent: returns the agent to evaluate and its device.
        watching: shows the progress of every group.
    """

    def __init__(
        self,
        make_env: Callable[[int, int], MetaEnv],
        tasks: Tensor,
        plan: EvaluationPlan,
        purpose: str,
        agent: Callable[[], tuple[Agent, torch.device]],
        watching: Watching = unwatched,
    ) -> None:
        self._make_env = make_env
        self._plan = plan
        self._purpose = purpose
        self._agent = agent
        self._watching = watching
        self._groups = tasks.split(plan.num_envs)

    def __len__(self) -> int:
        return len(self._groups) * self._plan.trials_per_task

    def __iter__(self) -> Iterator[Trials]:
        plan, (agent, device) = self._plan, self._agent()
        collector = Collector(self._make_env(len(self._groups[0]), plan.seed))
        for first in range(0, len(self), ranks.world_size()):
            number, trials = first + ranks.rank(), None
            with ranks.failing_together():
                if number < len(self):
                    trials = self._run(number, collector, agent, device)
            yield from (of_rank for of_rank in ranks.gather_objects(trials) if of_rank is not None)

    def _run(self, number: int, collector: Collector, agent: Agent, device: torch.device) -> Trials:
        """The trials of a group; `number` counts groups and their repetitions."""
        plan = self._plan
        repetition, index = divmod(number, len(self._groups))
        purpose = f"{self._purpose} trials {index}" + (f", repetition {repetition}" if repetition else "")
        episodes = agent.exploration_episodes + plan.adapted_episodes
        steps = len(self._groups[index]) * episodes * collector.env.meta_spec.horizon
        collector.env.reset(seed=derive_seed(plan.seed, 0, purpose))
        with self._watching("trials", steps) as report:
            trials = collector.collect(
                agent,
                self._groups[index],
                episodes,
                make_generator(plan.seed, 0, f"{purpose} agent"),
                deterministic=True,
                device=device,
                report=report,
                with_beliefs=True,
            )
        return replace(trials, task_numbers=index * plan.num_envs + torch.arange(len(trials.tasks)))
