"""Acting step by step, by hand, brings what the collector's trials bring."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import Tensor

from datamodules.collection import Collector, RunningTrial
from datamodules.contracts import Decision
from envs import (
    ContractError,
    FourCorners,
    GridNavi,
    KhazadDum,
    MetaEnv,
    PointRobot,
    SparsePointRobot,
    register_environment,
)
from envs.errors import NonFiniteError
from lit_metarl.algorithms import PEARL, RL2, MetaRLModule
from lit_metarl.networks import RecurrentEncoderPlan
from tests.environments import OffsetGrid

EPISODES = 3
KINDS: list[type[MetaEnv]] = [PointRobot, SparsePointRobot, FourCorners, GridNavi, KhazadDum]


register_environment(OffsetGrid)


def make_agent(env: MetaEnv) -> MetaRLModule:
    """An agent with weights of its own, which acts by choice or by coordinates."""
    torch.manual_seed(0)
    if env.meta_spec.discrete_actions:
        return RL2(env.meta_spec, encoder=RecurrentEncoderPlan(hidden=8)).eval()
    return PEARL(env.meta_spec, exploration_episodes=1, layers=[16], encoder_layers=[16]).eval()


def collected(kind: type[MetaEnv], tasks: Tensor, deterministic: bool) -> Tensor:
    """The returns of the collector's trials, `[tasks, episodes]`."""
    env = kind(len(tasks))
    env.reset(seed=1)
    generator = torch.Generator().manual_seed(2)
    trials = Collector(env).collect(make_agent(env), tasks, EPISODES, generator, deterministic=deterministic)
    return trials.episode_returns


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("kind", [*KINDS, OffsetGrid])
def test_the_return_by_hand_is_that_of_the_collector(kind: type[MetaEnv], deterministic: bool) -> None:
    env = kind(6)
    tasks = env.task_distribution.sample(6, torch.Generator().manual_seed(0))
    env.reset(seed=1)
    env.set_tasks(tasks)
    trial = RunningTrial(make_agent(env), env, torch.Generator().manual_seed(2), deterministic=deterministic)
    returns = torch.zeros(6, EPISODES)
    for episode in range(EPISODES):
        trial.begin_episode(env.reset()[0])
        while trial.running.any():
            outcome = env.step(trial.act())
            trial.observe(outcome)
            returns[:, episode] += outcome[4]["sparse_reward"]
    torch.testing.assert_close(returns, collected(kind, tasks, deterministic))


@pytest.mark.parametrize("kind", [PointRobot, SparsePointRobot, GridNavi, OffsetGrid])
def test_a_single_gymnasium_environment_brings_the_same(kind: type[MetaEnv]) -> None:
    task = kind(1).task_distribution.sample(1, torch.Generator().manual_seed(0))
    env = gymnasium.make(f"lit_metarl/{kind.meta_spec.name}-v0", task=task[0].tolist())
    trial = RunningTrial(make_agent(kind(1)), env, torch.Generator().manual_seed(2), deterministic=True)
    env.unwrapped._batch.reset(seed=1)  # type: ignore[attr-defined]
    returns = torch.zeros(1, EPISODES)
    for episode in range(EPISODES):
        observation, _ = env.reset()
        trial.begin_episode(observation)
        while trial.running.any():
            action = trial.act()
            assert env.action_space.contains(action)
            outcome = env.step(action)
            trial.observe(outcome)
            returns[0, episode] += outcome[4]["sparse_reward"]
    torch.testing.assert_close(returns, collected(kind, task, True), atol=1e-5, rtol=1e-5)


class Foreign(gymnasium.Env[Any, Any]):
    """An environment that is none of the package's, with bounds of its own, which keeps its observation."""

    observation_space = Box(-np.inf, np.inf, (2,), np.float64)
    action_space = Box(np.array([0.0, -30.0]), np.array([10.0, 30.0]), dtype=np.float64)

    def __init__(self) -> None:
        self.seen = np.zeros(2)

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        self.seen[:] = 0.0
        self.steps = 0
        return self.seen, {}

    def step(self, action: Any) -> Any:
        self.seen += action
        self.steps += 1
        return self.seen, -1.0, False, self.steps == 3, {}


def test_an_environment_of_other_bounds_is_acted_in_by_these_and_its_arrays_are_copied() -> None:
    env, agent = Foreign(), make_agent(PointRobot(1))
    trial = RunningTrial(agent, env, torch.Generator().manual_seed(0), deterministic=True)
    trial.begin_episode(env.reset()[0])
    while trial.running.any():
        before, seen = trial.observation, trial.observation.clone()
        action = trial.act()
        low, high = env.action_space.low, env.action_space.high
        expected = low + (trial.decision.action[0].numpy() + 1) / 2 * (high - low)
        assert np.allclose(action, expected, atol=1e-4)
        trial.observe(env.step(action))
        assert torch.equal(before, seen)


def test_what_is_out_of_turn_is_refused() -> None:
    env = PointRobot(1)
    trial = RunningTrial(make_agent(env), env, torch.Generator())
    with pytest.raises(RuntimeError, match="begin an episode first"):
        trial.act()
    trial.begin_episode(env.reset()[0])
    step = env.step(trial.act())
    with pytest.raises(RuntimeError, match="observe what the last action brought first"):
        trial.act()
    trial.observe(step)
    with pytest.raises(RuntimeError, match="let the agent act first"):
        trial.observe(step)


@pytest.mark.parametrize("single", [False, True])
def test_what_is_no_observation_or_outcome_is_refused(single: bool) -> None:
    env: Any = gymnasium.make("lit_metarl/PointRobot-v0", task=[0.5, 0.5]) if single else PointRobot(3)
    trial = RunningTrial(make_agent(PointRobot(3)), env, torch.Generator())
    with pytest.raises(ValueError, match=r"begin_episode\(env.reset\(\)\[0\]\)"):
        trial.begin_episode(env.reset())
    observation, _ = env.reset()
    shapes = r"\(1,\), expected \(2,\)" if single else r"\(3, 1\), expected \(3, 2\)"
    with pytest.raises(ValueError, match=f"the observation has shape {shapes}"):
        trial.begin_episode(observation[..., :1])
    trial.begin_episode(observation)
    outcome = env.step(trial.act())
    for wrong in (outcome[:4], outcome[0], list(outcome)):
        with pytest.raises(ValueError, match="five values of step in one tuple"):
            trial.observe(wrong)
    trial.observe(outcome)


def test_a_task_that_changes_within_a_trial_is_refused_and_can_be_kept() -> None:
    env = gymnasium.make("lit_metarl/PointRobot-v0")  # draws a task at every reset
    agent = make_agent(PointRobot(1))
    trial = RunningTrial(agent, env, torch.Generator())
    observation, info = env.reset(seed=0)
    trial.begin_episode(observation)
    observation, again = env.reset(options={"task": info["task"]})
    assert np.array_equal(again["task"], info["task"])
    trial.begin_episode(observation)
    with pytest.raises(ValueError, match=r"task has changed within a trial: .*gymnasium.make\(..., task="):
        trial.begin_episode(env.reset()[0])


def test_only_the_actions_that_are_made_must_be_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    env = GridNavi(2)
    agent = make_agent(env)
    action = torch.eye(5)[:2]
    action[1] = torch.nan
    monkeypatch.setattr(agent, "act", lambda *_: Decision(action, {}))
    trial = RunningTrial(agent, env, torch.Generator())
    trial.begin_episode(env.reset(options={"tasks": env.tasks[:1]})[0])
    assert trial.act()[0] == 0
    env.set_tasks(env.tasks)
    trial.begin_episode(env.reset()[0])
    with pytest.raises(NonFiniteError, match="the agent's action .*nan.* in sub-environment 1"):
        trial.act()


def test_an_action_outside_the_agents_range_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    env = PointRobot(2, seed=0)
    agent = make_agent(env)
    trial = RunningTrial(agent, env, torch.Generator())
    trial.begin_episode(env.reset()[0])
    monkeypatch.setattr(agent, "act", lambda *_: Decision(torch.tensor([[0.0, 0.0], [2.0, 0.0]])))
    with pytest.warns(UserWarning, match=r"\[2.0, 0.0\] in sub-environment 1 lies outside \[-1, 1\]"):
        assert torch.equal(trial.act(), torch.tensor([[0.0, 0.0], [0.1, 0.0]]))


def test_an_unbounded_environment_cannot_be_acted_in() -> None:
    env = Foreign()
    env.action_space = Box(-np.inf, np.inf, (2,))
    with pytest.raises(ContractError, match="Foreign.single_action_space gives bounds"):
        RunningTrial(make_agent(PointRobot(1)), env, torch.Generator())


def test_what_an_agent_changes_in_place_stays_as_it_was_in_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    env = PointRobot(2)
    agent = make_agent(env)
    action, extra = torch.zeros(2, 2), torch.zeros(2, 1)

    def act(*_: Any) -> Decision:
        action.add_(0.01)
        extra.add_(1.0)
        return Decision(action, {"step": extra})

    monkeypatch.setattr(agent, "act", act)
    trials = Collector(env).collect(agent, env.tasks, 1, torch.Generator())
    steps = torch.arange(1.0, 21.0)
    torch.testing.assert_close(trials.steps["action"][0, 0, :, 0], 0.01 * steps)
    assert torch.equal(trials.steps["step"][0, 0, :, 0], steps)
