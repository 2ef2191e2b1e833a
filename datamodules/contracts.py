"""Contracts 2 and 4: what the data side asks of an algorithm. `lit_metarl` implements them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Protocol, runtime_checkable

import torch
from tensordict import TensorDict
from torch import Tensor


class LearnsFrom(Enum):
    """What a batch of training data is."""

    REPLAY = "replay"
    """Meta-batches sampled from everything collected so far (off-policy)."""
    TRIALS = "trials"
    """The trials just collected (on-policy), as a `datamodules.experience.TrialBatch`."""


@dataclass(frozen=True, slots=True)
class Transition:
    """What an adapting agent observes in one step; the first dimension is the task.

    Attributes:
        observation: before the step, `[tasks, observation_dim]`.
        action: as the agent chose it, in [-1, 1], `[tasks, action_dim]`.
        reward: the task's reward (the sparse one, if the environment has one), `[tasks]`.
        next_observation: after the step, `[tasks, observation_dim]`.
        terminated: whether the episode ended in a terminal state, `[tasks]`.
        truncated: whether the episode was cut off by the time limit, `[tasks]`.
        active: whether this task's episode was still running, `[tasks]`; other rows are meaningless.
        extras: what the agent recorded with its decision.
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    next_observation: Tensor
    terminated: Tensor
    truncated: Tensor
    active: Tensor
    extras: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """An action `[tasks, action_dim]` in [-1, 1], and what the algorithm wants recorded with it.

    These are not the environment's units: `envs.action_units.ActionUnits` converts them, and a
    `datamodules.collection.RunningTrial` acts in the environment's own.

    Attributes:
        action: the chosen action.
        extras: further tensors `[tasks, ...]` kept with the transition (log-probability, value, …).
    """

    action: Tensor
    extras: dict[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class Agent(Protocol):
    """A batch of adapting agents, one a task. Pure in weights, belief and generator.

    `belief` is a `TensorDict` with one row a task. A belief that was handed over may be changed in
    place: the caller continues with the returned one. Random numbers come from the generator
    that the caller owns, so that evaluation cannot disturb training.

    Attributes:
        exploration_episodes: episodes at a trial's start that gather information and are reported apart.
        learns_from: what its batches of training data are.
        remembers_trials: whether an on-policy algorithm learns from earlier trials too (its belief model).
    """

    exploration_episodes: int
    learns_from: ClassVar[LearnsFrom]
    remembers_trials: ClassVar[bool]

    def start_trial(self, n: int, generator: torch.Generator) -> TensorDict:
        """The belief at the start of trials on `n` new tasks."""
        ...

    def act(self, observation: Tensor, belief: TensorDict, deterministic: bool, generator: torch.Generator) -> Decision:
        """Choose an action for every task's `observation` `[tasks, observation_dim]`."""
        ...

    def observe(self, belief: TensorDict, transition: Transition) -> TensorDict:
        """The belief after a step."""
        ...

    def end_episode(self, belief: TensorDict, generator: torch.Generator) -> TensorDict:
        """The belief at the start of the trial's next episode."""
        ...


@dataclass(frozen=True, slots=True)
class PosteriorSchedule:
    """What the latent samples of an agent that acts on a posterior come from, episode by episode.

    Attributes:
        prior_episodes: how many of the first episodes act on a sample of the prior.
        context: number of transitions, drawn at random with replacement from all that the trial has shown, from which
            the posterior is inferred before every later episode; None for all of them, each once.
    """

    prior_episodes: int
    context: int | None = None


@runtime_checkable
class PosteriorSampler(Protocol):
    """An agent whose collected trials can follow another schedule than its evaluations."""

    def start_scheduled_trial(self, n: int, generator: torch.Generator, schedule: PosteriorSchedule) -> TensorDict:
        """As `Agent.start_trial`, for trials that follow `schedule`; without one they follow the agent's own."""
        ...


@runtime_checkable
class Believer(Protocol):
    """An agent whose belief can be shown."""

    def belief_vector(self, belief: TensorDict) -> Tensor:
        """The belief about every task as a vector for figures, `[tasks, size]`.

        A posterior's mean, or a recurrent state: similar for tasks that look similar.
        The belief itself is not changed.
        """
        ...


@dataclass(frozen=True, slots=True)
class StartStates:
    """Start states sampled with replacement, so that what depends on the state alone is computed once.

    Attributes:
        distinct: the observations to choose from, `[tasks, distinct, observation_dim]`.
        draws: the index of each draw among them, `[tasks, draws]`.
    """

    distinct: Tensor
    draws: Tensor

    @property
    def observations(self) -> Tensor:
        """The sampled observations, `[tasks, draws, observation_dim]`."""
        return self.distinct[torch.arange(len(self.draws))[:, None], self.draws]


@runtime_checkable
class Foresight(Protocol):
    """How useful a trajectory is for a task, in units of scaled return (HFR, Wan et al. 2022).

    Transitions are as `datamodules.replay.TaskReplay.compute_rewards` returns them: `valid` marks the steps of
    a trajectory that exist; tensors that are the same for all tasks may be expanded views. All
    random numbers come from `generator`.
    """

    def adaptation_utility(self, trajectories: TensorDict, starts: StartStates, generator: torch.Generator) -> Tensor:
        """How much return the agent expects once adapted to a task from a trajectory relabeled for it.

        Args:
            trajectories: batch shape `[tasks, time]`.
            starts: start states of each task.
            generator: source of the latent samples and actions.

        Returns:
            Utilities, `[tasks]`.
        """
        ...

    def bellman_utility(self, trajectories: TensorDict, transitions: TensorDict, generator: torch.Generator) -> Tensor:
        """How well the critics, adapted from a trajectory relabeled for a task, predict that task's data.

        Args:
            trajectories: batch shape `[tasks, time]`.
            transitions: data of each task, batch shape `[tasks, transitions]`.
            generator: source of the latent samples.

        Returns:
            Minus the Bellman errors, `[tasks]`.
        """
        ...

    def action_values(self, contexts: TensorDict, transitions: TensorDict, generator: torch.Generator) -> Tensor:
        """The value of given actions to agents that have adapted to each task.

        Args:
            contexts: data of each task to adapt from, batch shape `[tasks, context]`, all valid.
            transitions: batch shape `[transitions]`.
            generator: source of the latent samples.

        Returns:
            Values, `[tasks, transitions]`.
        """
        ...
