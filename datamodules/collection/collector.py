"""Runs trials: one adapting agent per task, all tasks at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection.running_trial import RunningTrial
from datamodules.collection.trials import Trials
from datamodules.contracts import Agent, Believer, PosteriorSchedule
from envs.base import MetaEnv

ProgressReport = Callable[[int], None]


class Collector:
    """Runs trials of an agent in a batched environment.

    What is recorded of an agent is copied, so that it may change its tensors in place.

    Args:
        env: the environment; `num_envs` is the largest number of tasks at once.
    """

    def __init__(self, env: MetaEnv) -> None:
        self.env = env

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
            tasks: `[tasks, task_dim]`, at most as many as there are sub-environments; the remaining ones stay idle.
            episodes: consecutive episodes of a trial.
            generator: source of the agent's randomness.
            deterministic: whether the agent acts without exploration noise.
            device: where the agent lives (None: the CPU). The record stays on the CPU.
            report: called after every step with the number of environment steps made.
            with_beliefs: whether to record the beliefs of an agent that reports them.
            schedule: when the agent infers its posterior and from what, where that differs from the agent's own
                way; only for a `PosteriorSampler`.
        """
        tasks = torch.as_tensor(tasks, dtype=torch.float32)
        number = len(tasks)
        self.env.set_tasks(tasks)
        exploration = agent.exploration_episodes if schedule is None else schedule.prior_episodes
        trial = RunningTrial(agent, self.env, generator, deterministic=deterministic, device=device, schedule=schedule)
        record: dict[str, Tensor] = {}
        successes, beliefs = [], []
        for episode in range(episodes):
            observation, _ = self.env.reset()
            trial.begin_episode(observation)
            steps, success = self._run_episode(trial, report)
            for key, first in steps[0].items():
                if key not in record:
                    record[key] = first.new_empty(len(first), episodes, self.env.meta_spec.horizon, *first.shape[1:])
                _write([step[key] for step in steps], record[key][:, episode])
            if success is not None:
                successes.append(success[:number])
            if with_beliefs and isinstance(agent, Believer):
                beliefs.append(agent.belief_vector(trial.belief)[:number].to("cpu", copy=True))
        return Trials(
            tasks=tasks.clone(),
            steps=TensorDict(record, list(record["valid"].shape[:3]))[:number],
            success=torch.stack(successes, 1) if successes else None,
            exploration_episodes=min(exploration, episodes),
            beliefs=torch.stack(beliefs, 1) if beliefs else None,
        )

    def _run_episode(
        self, trial: RunningTrial, report: ProgressReport | None
    ) -> tuple[list[dict[str, Tensor]], Tensor | None]:
        """The episode that `trial` has begun: its steps, tensors `[num_envs, ...]`, and success `[num_envs]`."""
        steps, successes = [], []
        while trial.is_running:
            observed, running = trial.observation, trial.running
            outcome = self.env.step(trial.act())
            next_observation, reward, terminated, _, info = outcome
            decided = {"action": trial.decision.action, **trial.decision.extras}
            step = {
                **{key: value.to("cpu", copy=True) for key, value in decided.items()},
                "observation": observed,
                "next_observation": next_observation,
                "features": info["features"],
                "reward": reward,
                "sparse_reward": info["sparse_reward"],
                "terminated": terminated,
                "valid": running,
            }
            trial.observe(outcome)
            steps.append(step)
            if "success" in info:
                successes.append(info["success"])
            if report is not None:
                report(int(running.sum()))
        return steps, torch.stack(successes).any(0) if successes else None


def _write(steps: list[Tensor], episode: Tensor) -> None:
    """Write `steps` `[num_envs, ...]` into `episode` `[num_envs, time, ...]`, with zeros after the last."""
    episode[:, : len(steps)] = torch.stack(steps).transpose(0, 1)
    episode[:, len(steps) :] = 0
