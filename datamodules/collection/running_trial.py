"""An agent in the middle of a trial: it acts in an environment's own units and observes the outcomes."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.contracts import Agent, Decision, PosteriorSampler, PosteriorSchedule, Transition
from envs.action_units import ROUNDING, ActionUnits
from envs.base import MetaEnv
from envs.errors import NonFiniteError

Outcome = tuple[Any, Any, Any, Any, dict[str, Any]]
"""The five values of Gymnasium's `step`."""


class RunningTrial:
    """One trial of an agent in every sub-environment, for a custom loop.

    In a batched environment, with a task for each sub-environment:

        trial = RunningTrial(agent, env, generator, deterministic=True)
        for _ in range(episodes):
            trial.begin_episode(env.reset()[0])
            while trial.is_running:
                trial.observe(env.step(trial.act()))

    In a single Gymnasium environment, whose task must stay the same:

        env = gymnasium.make("lit_metarl/PointRobot-v0", task=[0.5, -0.5])
        trial = RunningTrial(agent, env, generator, deterministic=True)
        for _ in range(episodes):
            trial.begin_episode(env.reset()[0])
            while trial.is_running:
                trial.observe(env.step(trial.act()))

    `act` returns actions in the units of the environment: within its bounds, or the numbers of choices. The agent sees
    the sparse reward, as in training, where the environment distinguishes it.

    Args:
        agent: the adapting agent.
        env: where it acts: a batched environment, or a single Gymnasium environment with the same spaces.
        generator: source of the agent's randomness.
        deterministic: whether the agent acts without exploration noise.
        device: where the agent lives (None: the CPU).
        schedule: when the agent infers its posterior and from what, where that differs from the agent's own way; only
            for a `PosteriorSampler`.
        horizon: steps after which an episode is over, for a single environment without a time limit of its own.

    Attributes:
        running: which sub-environments are in the middle of an episode, `[num_envs]`.
        is_running: whether any of them is.
        observation: the last one, `[num_envs, observation_dim]`.
        belief: what the agent knows, one row for each sub-environment.
        decision: the last one: the action in [-1, 1], and what the algorithm records with it.

    Raises:
        ContractError: if the environment's action space is unbounded or of another kind.
    """

    observation: Tensor
    decision: Decision

    def __init__(
        self,
        agent: Agent,
        env: MetaEnv | gymnasium.Env[Any, Any],
        generator: torch.Generator,
        *,
        deterministic: bool = False,
        device: torch.device | None = None,
        schedule: PosteriorSchedule | None = None,
        horizon: int | None = None,
    ) -> None:
        self._agent, self._generator, self._deterministic, self._device = agent, generator, deterministic, device
        self._without_gradients = torch.inference_mode()  # used again in every step: faster than a decorator
        self._is_single = isinstance(env, gymnasium.Env)
        self._env: Any = env.unwrapped
        actor: Any = env
        space = actor.action_space if self._is_single else actor.single_action_space
        self._observation_shape = (actor.observation_space if self._is_single else actor.single_observation_space).shape
        self._units = ActionUnits(space, type(self._env).__name__)
        self._number = 1 if self._is_single else actor.num_envs
        self._tasks: Tensor | None = None
        self._waits_for_outcome = False
        self._horizon = horizon
        self._episodes = self._steps = 0
        self.running = torch.zeros(self._number, dtype=torch.bool)
        self.is_running = False
        self.belief = self._prior(schedule)

    @torch.inference_mode()
    def _prior(self, schedule: PosteriorSchedule | None) -> TensorDict:
        """What the agent knows before the trial."""
        if schedule is None:
            return self._agent.start_trial(self._number, self._generator)
        assert isinstance(self._agent, PosteriorSampler)  # checked when the run was configured
        return self._agent.start_scheduled_trial(self._number, self._generator, schedule)

    @torch.inference_mode()
    def begin_episode(self, observation: Any) -> None:
        """The trial's next episode begins with `observation`, as a reset returned it.

        Args:
            observation: `[num_envs, observation_dim]`, or `[observation_dim]` of a single environment.

        Raises:
            ValueError: if the task has changed since the trial began, or that is no observation.
        """
        if isinstance(observation, tuple):
            raise ValueError("an episode begins with the observation alone: trial.begin_episode(env.reset()[0]).")
        tasks = getattr(self._env, "tasks", None)
        if tasks is not None:
            if self._tasks is not None and not torch.equal(self._tasks, tasks):
                raise ValueError(
                    "the task has changed within a trial: give a single environment its task, as in "
                    "gymnasium.make(..., task=[...]), and begin a new RunningTrial for another one."
                )
            self._tasks = tasks.clone()
        if self._episodes > 0:
            self.belief = self._agent.end_episode(self.belief, self._generator)
        self._episodes += 1
        self._steps = 0
        self._waits_for_outcome = False
        self.observation = self._rows(observation, torch.float32)
        given, known = self.observation.shape[self._is_single :], self._observation_shape
        expected = known if self._is_single else (self._number, *known)
        if tuple(given) != expected:
            raise ValueError(f"the observation has shape {tuple(given)}, expected {expected}.")
        self.running = torch.ones(1, dtype=torch.bool) if self._is_single else self._env.running
        self.is_running = bool(self.running.any())

    def act(self) -> Any:
        """The next actions, in the environment's own units.

        Returns:
            For a batched environment, a tensor `[num_envs, action_dim]`, or choices `[num_envs]`, counted from the
            space's `start`. For a single environment, an array `[action_dim]`, or a whole number.

        Raises:
            RuntimeError: if no episode is running, or the outcome of the last action was not observed.
            NonFiniteError: if the action of a running sub-environment is not finite.
        """
        if self._waits_for_outcome or not self.is_running:
            missing = "observe what the last action brought" if self._waits_for_outcome else "begin an episode"
            raise RuntimeError(f"the agent cannot act yet: {missing} first.")
        seen = self.observation.to(self._device)
        with self._without_gradients:
            self.decision = self._agent.act(seen, self.belief, self._deterministic, self._generator)
        self._waits_for_outcome = True
        normalized = self.decision.action.to("cpu", torch.float32).detach()
        actions, are_usual = self._units.own(normalized)
        if not are_usual:
            self._tell_of(normalized)
        if not self._is_single:
            return actions
        return int(actions[0]) if self._units.discrete else actions[0].numpy()

    def _tell_of(self, actions: Tensor) -> None:
        """Refuse the actions of running sub-environments that are not finite, and warn of those outside [-1, 1]."""
        outside = self.running & ~(actions.abs().amax(-1) <= 1.0 + ROUNDING)
        if not bool(outside.any()):
            return
        broken = outside & ~torch.isfinite(actions).all(-1)
        if bool(broken.any()):
            row = int(broken.nonzero()[0, 0])
            action = actions[row].tolist()
            raise NonFiniteError(f"the agent's action {action} in sub-environment {row} is not finite.")
        row = int(outside.nonzero()[0, 0])
        warnings.warn(
            f"the agent's action {actions[row].tolist()} in sub-environment {row} lies outside [-1, 1] and is clipped, "
            "but recorded as it is. Actions of an agent lie in [-1, 1]; the environment's own units are set here.",
            stacklevel=3,
        )

    def observe(self, outcome: Outcome) -> None:
        """Show the agent the outcome of its action.

        Args:
            outcome: the five values of the environment's `step`.

        Raises:
            RuntimeError: if the agent did not act before.
            ValueError: if these are not five values.
        """
        if not isinstance(outcome, tuple) or len(outcome) != 5:
            raise ValueError("an outcome is the five values of step in one tuple: trial.observe(env.step(action)).")
        if not self._waits_for_outcome:
            raise RuntimeError("there is nothing to observe yet: let the agent act first.")
        self._waits_for_outcome = False
        observation, reward, *ended, info = outcome
        next_observation = self._rows(observation, torch.float32)
        reward = self._rows(info.get("sparse_reward", reward), torch.float32)
        terminated, truncated = (self._rows(flags, torch.bool) for flags in ended)
        self._steps += 1
        if self._steps == self._horizon:
            truncated = torch.ones_like(truncated)
        device = self._device
        transition = Transition(
            observation=self.observation.to(device),
            action=self.decision.action,
            reward=reward.to(device),
            next_observation=next_observation.to(device),
            terminated=terminated.to(device),
            truncated=truncated.to(device),
            active=self.running.to(device),
            extras=self.decision.extras,
        )
        with self._without_gradients:
            self.belief = self._agent.observe(self.belief, transition)
        self.observation = next_observation
        if np.count_nonzero(terminated.numpy()) or np.count_nonzero(truncated.numpy()):
            self.running = self.running & ~(terminated | truncated)
            self.is_running = bool(self.running.any())

    def _rows(self, value: Any, dtype: torch.dtype) -> Tensor:
        """What an environment returned, as a tensor with a row for every sub-environment.

        A batched environment's is new in every step, a single one's may change.
        """
        if not self._is_single and isinstance(value, Tensor):
            return value if value.dtype is dtype else value.to(dtype)
        tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
        rows = tensor[None] if self._is_single else tensor
        return rows.detach().to("cpu", dtype, copy=True)
