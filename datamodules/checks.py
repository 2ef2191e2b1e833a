"""Which components, algorithms and numbers of ranks a rollout cannot be made of: one message each, before it starts."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from datamodules.contracts import Agent, Foresight, LearnsFrom, PosteriorSampler
from datamodules.plans import check_replay_plan, share_of
from envs.errors import ConfigurationError, arguments_of, require, require_writable
from envs.meta_env_spec import TaskChanges

if TYPE_CHECKING:
    from datamodules.rollout import RolloutDataModule


def check_components(data: RolloutDataModule) -> None:
    """Refuse a relabeler or task sampler that does not fit the environment and the other settings.

    Raises:
        ConfigurationError: naming the key.
    """
    if data.relabeler.changes_tasks:
        _check_relabeling(data)
    if data.task_sampler.compares_with_validation:
        _check_validation(data)


def check_ranks(data: RolloutDataModule, agent: Agent, number: int) -> None:
    """Refuse numbers that `number` ranks cannot share.

    Raises:
        ConfigurationError: naming the key.
    """
    data.collection.of_rank(number)
    if agent.learns_from is LearnsFrom.REPLAY:
        data.batches.of_rank(number)
        if data.task_sampler.samples_new_tasks:
            share_of("task_slots", data.task_slots, number, data)
    elif agent.remembers_trials:
        data.belief.of_rank(number)


def check_agent(data: RolloutDataModule, agent: Agent) -> None:
    """Refuse an algorithm that does not fit the configuration.

    Raises:
        ConfigurationError: naming the key.
    """
    if agent.learns_from is LearnsFrom.REPLAY:
        _check_replay(data, agent)
    else:
        require(
            not data.relabeler.changes_tasks,
            "relabeler",
            type(data.relabeler).__name__,
            f"{type(agent).__name__} learns from the trials just collected, under their own tasks only",
            "Use datamodules.relabeling.NoRelabeler (configs/relabel/none.yaml), or an algorithm with replay.",
            of=data,
        )
        require(
            data.reward_model is None,
            "reward_model",
            type(data.reward_model).__name__,
            f"{type(agent).__name__} learns from the rewards just collected and has no use for learned ones",
            "Leave it out, or use an algorithm with replay.",
            of=data,
        )
        require(
            data.replay_storage == "memory",
            "replay_storage",
            data.replay_storage,
            f"{type(agent).__name__} learns from the trials just collected and keeps no replay",
            "Leave it out, or use an algorithm with replay.",
            of=data,
        )
        _warn_of_short_evaluation(data, agent)
    _check_schedule(data, agent)
    if data.relabeler.needs_foresight and not isinstance(agent, Foresight):
        raise ConfigurationError(
            "relabeler",
            type(data.relabeler).__name__,
            f"it asks the algorithm for a foresight, and {type(agent).__name__} has none",
            "Use an algorithm with an adaptation_utility (PEARL), or configs/relabel/none.yaml or random.yaml.",
            of=data,
        )


def _warn_of_short_evaluation(data: RolloutDataModule, agent: Agent) -> None:
    """Say that an agent that adapts from episode to episode is evaluated on shorter trials than it is trained for."""
    trained, evaluated = data.collection.adapted_episodes, data.evaluation.adapted_episodes
    if evaluated < trained and agent.exploration_episodes == 0:  # otherwise the first one is adapted already
        warnings.warn(
            f"{type(agent).__name__} is trained for trials of {trained} episodes and evaluated in episode {evaluated}: "
            "the return that is reported is not that of the adapted agent. Set evaluation.adapted_episodes to "
            f"{trained} to see it.",
            stacklevel=2,
        )


def _check_relabeling(data: RolloutDataModule) -> None:
    name = type(data.relabeler).__name__
    require(
        data.meta_spec.task_changes is TaskChanges.REWARD,
        "relabeler",
        name,
        f"relabeling needs tasks that differ in the reward alone, but those of {data.meta_spec.name} "
        f"change the {data.meta_spec.task_changes.value}",
        data.env.hint_against_relabeling,
        of=data,
    )
    require(
        len(data.initial_tasks) > 1,
        "task_slots",
        data.task_slots,
        f"{name} needs at least two training tasks to choose between",
        "Raise it, or use configs/relabel/none.yaml.",
        of=data,
    )


def _check_validation(data: RolloutDataModule) -> None:
    env, number = data.env, data.evaluation.validation_tasks
    validated = env.evaluation_tasks("validation").sample(number, torch.Generator().manual_seed(data.seed))
    require(
        bool(env.task_distribution.contains(validated).all()),
        "task_sampler",
        type(data.task_sampler).__name__,
        "it compares the returns of validation trials with those of training trials, and the tasks of validation are "
        "none of training",
        "Validate on training tasks (Meta-World: env.init_args.validate_on: train), or use another reference_mode.",
        of=data,
    )
    require(
        data.evaluation.trials_per_task == 1,
        "evaluation.trials_per_task",
        data.evaluation.trials_per_task,
        "the task sampler compares the returns of single validation trials with those of training trials",
        "Set it to 1, or use another reference_mode.",
        of=data,
    )
    require(
        data.evaluation.adapted_episodes == data.collection.adapted_episodes,
        "evaluation.adapted_episodes",
        data.evaluation.adapted_episodes,
        "the task sampler compares the returns of validation trials with those of training trials, which have "
        f"{data.collection.adapted_episodes} adapted episodes",
        "Give both the same number (collection.adapted_episodes), or use another reference_mode.",
        of=data,
    )


def _check_schedule(data: RolloutDataModule, agent: Agent) -> None:
    for key, value in data.collection.beyond_evaluation.items():
        require(
            isinstance(agent, PosteriorSampler),
            key,
            value,
            f"it is for agents that act on samples of a posterior, as {type(agent).__name__} does not",
            "Leave it out, or use PEARL.",
            of=data.collection,
        )
    evaluated, exploration = agent.exploration_episodes, data.collection.exploration(agent.exploration_episodes)
    require(
        exploration == evaluated or not data.task_sampler.compares_with_validation,
        "exploration_episodes",
        exploration,
        "the task sampler compares the returns of validation trials with those of training trials, which have "
        f"{evaluated} exploration episodes, as many as the algorithm has",
        "Leave it out, or use another reference_mode.",
        of=data.collection,
    )


def _check_replay(data: RolloutDataModule, agent: Agent) -> None:
    keeps_data = data.task_sampler.samples_new_tasks and data.meta_spec.task_changes is TaskChanges.REWARD
    require(
        data.reward_model is None or data.relabeler.changes_tasks or keeps_data,
        "reward_model",
        type(data.reward_model).__name__,
        f"with {type(data.relabeler).__name__} and {type(data.task_sampler).__name__}, no reward is learned from that "
        "another task would have given",
        "Leave it out, or add a relabeler.",
        of=data,
    )
    slots, plan = len(data.initial_tasks), data.collection
    with arguments_of(data):
        check_replay_plan(slots, plan, data.batches, data.task_sampler.samples_new_tasks)
    if data.replay_folder is not None:
        require(
            data.replay_storage == "disk",
            "replay_folder",
            data.replay_folder,
            "the replay is kept in memory",
            "Leave it out, or set replay_storage to disk.",
            of=data,
        )
        with arguments_of(data):
            require_writable("replay_folder", Path(data.replay_folder))
    episodes = plan.exploration(agent.exploration_episodes) + plan.adapted_episodes
    initial_steps = slots * plan.initial_episodes * data.meta_spec.horizon
    iteration_steps = plan.tasks_per_iteration * episodes * data.meta_spec.horizon
    for steps, of, remedy in (
        (initial_steps, "the initial data", "task_slots or collection.initial_episodes"),
        (iteration_steps, "a meta-iteration", "collection.tasks_per_iteration or adapted_episodes"),
    ):
        require(
            steps <= data.replay_capacity,
            "replay_capacity",
            data.replay_capacity,
            f"it must hold the {steps} transitions of {of}",
            f"Raise it, or lower {remedy}.",
            of=data,
        )
