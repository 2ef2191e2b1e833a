"""Runs trials: one adapting agent a task, all tasks at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection.trials import Trials
from datamodules.contracts import Agent, Believer, PosteriorSampler, PosteriorSchedule, Transition
from envs.base import MetaEnv

ProgressReport = Callable[[int], None]


class Collector:
    """Runs trials of an agent in a batched world.

    The agent's actions lie in [-1, 1] and are rescaled to the world's bounds here.

    Args:
        env: the world; its number of copies is the largest number of tasks at once.
    """

    def __init__(self, env: MetaEnv) -> None:
        self.env = env
        self._low = env.action_low
        self._half_range = (env.action_high - env.action_low) / 2

    @torch.no_grad()
    def collect(
        self,
        agent: Agent,
        tasks: Tensor,
        episodes: int,
        generator: torch.Generator,
        *,
        deterministic: bool = False,
        device: torch.device | None = None,
        report: ProgressReport | None = None,
        with_beliefs: bool = False,
        schedule: PosteriorSchedule | None = None,
    ) -> Trials:
        """One trial of `episodes` episodes for every task.

        Args:
            agent: the adapting agent.
            tasks: `[tasks, task_dim]`, at most as many as the world has copies.
            episodes: consecutive episodes of a trial.
            generator: source of the agent's randomness.
            deterministic: whether the agent acts without exploration noise.
            device: where the agent lives (None: the CPU). The record stays on the CPU.
            report: called after every step with the number of environment steps made.
            with_beliefs: whether to record what the agent believes, if it says so.
            schedule: when the agent infers its posterior and from what, where that differs from the agent's own
                way; only for a `PosteriorSampler`.
        """
        number = len(tasks)
        spare = self.env.num_envs - number
        if spare < 0:
            raise ValueError(f"{number} tasks do not fit into a world of {self.env.num_envs} copies.")
        self.env.set_tasks(torch.cat((tasks, tasks[-1:].expand(spare, -1))))
        in_use = torch.arange(self.env.num_envs) < number
        exploration = agent.exploration_episodes
        if schedule is None:
            belief = agent.start_trial(self.env.num_envs, generator)
        else:
            assert isinstance(agent, PosteriorSampler)  # checked when the run was configured
            belief = agent.start_scheduled_trial(self.env.num_envs, generator, schedule)
            exploration = schedule.prior_episodes
        records, successes, beliefs = [], [], []
        for episode in range(episodes):
            if episode > 0:
                belief = agent.end_episode(belief, generator)
            belief, steps, success = self._run_episode(agent, belief, in_use, generator, deterministic, device, report)
            records.append(steps[:number])
            if success is not None:
                successes.append(success[:number])
            if with_beliefs and isinstance(agent, Believer):
                beliefs.append(agent.belief_vector(belief)[:number].to("cpu"))
        return Trials(
            tasks=tasks.clone(),
            steps=torch.stack(records, 1),
            success=torch.stack(successes, 1) if successes else None,
            exploration_episodes=min(exploration, episodes),
            beliefs=torch.stack(beliefs, 1) if beliefs else None,
        )

    def _run_episode(
        self,
        agent: Agent,
        belief: TensorDict,
        in_use: Tensor,
        generator: torch.Generator,
        deterministic: bool,
        device: torch.device | None,
        report: ProgressReport | None,
    ) -> tuple[TensorDict, TensorDict, Tensor | None]:
        """One episode of every copy in use: the belief after it, its steps `[copies, time]`, and success."""
        observation = self.env.restart()
        active, success = in_use, None
        steps: dict[str, list[Tensor]] = {}
        length = 0
        while bool(active.any()):
            decision = agent.act(observation.to(device), belief, deterministic, generator)
            action = decision.action.to("cpu")
            outcome = self.env.advance(self._low + (action + 1.0) * self._half_range, active)
            transition = Transition(
                observation=observation.to(device),
                action=decision.action,
                reward=outcome.reward.sparse_reward.to(device),
                next_observation=outcome.observation.to(device),
                terminated=outcome.reward.terminated.to(device),
                truncated=outcome.truncated.to(device),
                active=active.to(device),
                extras=decision.extras,
            )
            belief = agent.observe(belief, transition)
            record = {
                "observation": observation,
                "action": action,
                "next_observation": outcome.observation,
                "features": outcome.features,
                "reward": outcome.reward.reward,
                "sparse_reward": outcome.reward.sparse_reward,
                "terminated": outcome.reward.terminated,
                "valid": active,
                **{key: value.to("cpu") for key, value in decision.extras.items()},
            }
            for key, value in record.items():
                steps.setdefault(key, []).append(value)
            if outcome.success is not None:
                reached = outcome.success & active
                success = reached if success is None else success | reached
            if report is not None:
                report(int(active.sum()))
            length += 1
            observation = outcome.observation
            active = active & ~(outcome.reward.terminated | outcome.truncated)
        padding = self.env.world.horizon - length
        stacked = {key: _pad_time(torch.stack(values, 1), padding) for key, values in steps.items()}
        return belief, TensorDict(stacked, [self.env.num_envs, self.env.world.horizon]), success


def _pad_time(values: Tensor, padding: int) -> Tensor:
    if padding == 0:
        return values
    return torch.cat((values, values.new_zeros(values.shape[0], padding, *values.shape[2:])), 1)
