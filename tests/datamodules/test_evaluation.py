"""Evaluation: whose trials it runs, how, and with which randomness."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection import Trials
from datamodules.contracts import Decision
from datamodules.evaluation import EvaluationTrials
from datamodules.plans import EvaluationPlan
from envs import PointRobot
from tests.environments import Blind

TASKS = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0.7, 0.8], [0.9, 1.0]])


def evaluate(tasks: Tensor, agent: Any = None, **plan: Any) -> list[Trials]:
    agent = Blind(PointRobot.meta_spec) if agent is None else agent
    settings = EvaluationPlan(**{"num_envs": 2, "trials_per_task": 2, **plan})
    return list(EvaluationTrials(PointRobot, tasks, settings, "test", lambda: (agent, torch.device("cpu"))))


def test_every_trial_says_which_of_all_tasks_it_is_on() -> None:
    trials = evaluate(TASKS)
    numbers = torch.cat([group.task_numbers for group in trials if group.task_numbers is not None])
    assert numbers.tolist() == [0, 1, 2, 3, 4] * 2
    assert torch.equal(torch.cat([group.tasks for group in trials]), TASKS[numbers])


def test_a_trial_has_the_agents_exploration_episodes_and_the_adapted_ones_and_no_noise() -> None:
    asked: set[bool] = set()

    class Asked(Blind):
        def act(self, observation: Tensor, belief: TensorDict, deterministic: bool, generator: Any) -> Decision:
            asked.add(deterministic)
            return super().act(observation, belief, deterministic, generator)

    (group,) = evaluate(TASKS[:2], Asked(PointRobot.meta_spec), adapted_episodes=3, trials_per_task=1)
    assert group.steps.batch_size[:2] == (2, 1 + 3)
    assert group.exploration_episodes == 1
    assert asked == {True}


def test_a_groups_randomness_does_not_depend_on_which_groups_came_before() -> None:
    everything, first_alone = evaluate(TASKS), evaluate(TASKS[:2])
    for group, same in zip((everything[0], everything[3]), first_alone):
        assert bool((group.steps == same.steps).all())


def test_groups_and_repetitions_differ_in_the_agents_randomness_and_in_the_environments() -> None:
    for key in ("action", "observation"):
        first, *others = (group.steps[key][:1, 0, 0] for group in evaluate(TASKS))
        assert not any(torch.equal(first, other) for other in others)
