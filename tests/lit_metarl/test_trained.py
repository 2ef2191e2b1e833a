"""A trained agent can be loaded from its checkpoint alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from datamodules.collection import Collector
from envs import ConfigurationError, PointRobot
from envs.randomness import make_generator
from lit_metarl.algorithms import MAML, PEARL, RL2, MetaRLModule, VariBAD
from lit_metarl.checkpoints import CONFIGURATION
from lit_metarl.frames import curves
from lit_metarl.networks import NetworkPlan
from lit_metarl.trained import load_trained
from tests.lit_metarl.checkpoints.runs import RUNS
from tests.tiny import tiny_agent, tiny_data, tiny_trainer


class OneWay(PointRobot):
    """Observations of the same size, other actions."""

    single_action_space = gymnasium.spaces.Box(-0.1, 0.1, (1,))
    meta_spec = replace(PointRobot.meta_spec, action_dim=1)


class TwoChoices(PointRobot):
    """Observations of the same size, other actions."""

    single_action_space = gymnasium.spaces.Discrete(2)
    meta_spec = replace(PointRobot.meta_spec, discrete_actions=True)


@pytest.fixture
def checkpoint(run_tiny: Callable[..., int], tmp_path: Path) -> Path:
    """The best one of a short run."""
    assert run_tiny("fit") == 0
    return tmp_path / "runs" / "version_0" / "checkpoints" / "best.ckpt"


@pytest.mark.parametrize("algorithm", RUNS)
def test_an_agent_has_the_weights_of_the_run_and_acts_in_its_environment(
    run_tiny: Callable[..., int], tmp_path: Path, algorithm: str
) -> None:
    assert run_tiny("fit", *RUNS[algorithm], "--trainer.max_epochs=1") == 0
    checkpoint = tmp_path / "runs" / "version_0" / "checkpoints" / "best.ckpt"
    trained = load_trained(checkpoint)
    agent, env = trained.algorithm, trained.make_env(num_envs=3)
    assert type(agent).__name__ == algorithm.split()[0]
    assert isinstance(env, PointRobot)
    saved = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert all(torch.equal(values, saved[name]) for name, values in agent.state_dict().items())
    assert curves(agent).equals(curves(checkpoint))
    assert len(curves(agent)) > 0
    tasks = env.task_distribution.sample(3, torch.Generator().manual_seed(0))
    trials = Collector(env).collect(agent, tasks, 3, torch.Generator().manual_seed(0), deterministic=True)
    assert trials.episode_returns.shape == (3, 3)


def test_a_checkpoint_cannot_call_anything_but_its_environment_and_algorithm(checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content[CONFIGURATION]["model"] = {"class_path": "os.system", "init_args": {"command": f"touch {tmp_path}/pwned"}}
    torch.save(content, tmp_path / "evil.ckpt")
    with pytest.raises(ConfigurationError, match=r"os\.system, which is no MetaRLModule"):
        load_trained(tmp_path / "evil.ckpt")
    assert not (tmp_path / "pwned").exists()


def test_a_checkpoint_without_a_configuration_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    torch.save({"state_dict": content["state_dict"]}, tmp_path / "bare.ckpt")
    with pytest.raises(ConfigurationError, match="does not say what was trained"):
        load_trained(tmp_path / "bare.ckpt")


@pytest.mark.parametrize("algorithm", [PEARL, VariBAD, RL2, MAML])
def test_a_checkpoint_of_a_plain_trainer_is_enough(algorithm: type[MetaRLModule], tmp_path: Path) -> None:
    agent = tiny_agent(algorithm, network=NetworkPlan("elu", "all"), seed=3)
    trainer = tiny_trainer(max_epochs=1)
    data = tiny_data(env=lambda num_envs, seed: PointRobot(num_envs, seed, horizon=7))
    trainer.fit(agent, datamodule=data)
    trainer.save_checkpoint(tmp_path / "agent.ckpt")
    trained = load_trained(tmp_path / "agent.ckpt")
    env = trained.make_env(num_envs=2, seed=5)
    assert (type(env), env.num_envs, env.meta_spec.horizon) == (PointRobot, 2, 7)
    assert type(trained.algorithm) is algorithm
    assert not trained.algorithm.training
    assert all(torch.equal(weight, agent.state_dict()[name]) for name, weight in trained.algorithm.state_dict().items())


def test_an_agent_acts_step_by_step_in_a_plain_gymnasium_loop_as_in_a_collector(checkpoint: Path) -> None:
    agent, task = load_trained(checkpoint), [0.5, -0.5]
    env = gymnasium.make("lit_metarl/PointRobot-v0", task=task)
    trial, returns = agent.begin_trial(env, seed=4), []
    for episode in range(3):
        observation, _ = env.reset(seed=0 if episode == 0 else None)
        trial.begin_episode(observation)
        total = 0.0
        while trial.running.any():
            outcome = env.step(trial.act())
            trial.observe(outcome)
            total += float(outcome[1])
        returns.append(total)
    batch = agent.make_env()
    batch.reset(seed=0)
    trials = Collector(batch).collect(
        agent.algorithm, torch.tensor([task]), 3, make_generator(4, 0, "trial"), deterministic=True
    )
    assert returns == pytest.approx(trials.episode_returns[0].tolist(), rel=1e-5)


class Endless(gymnasium.Env[Any, Any]):
    """An environment of the user's that never ends an episode."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return np.zeros(2), {}

    def step(self, action: Any) -> Any:
        return np.zeros(2), 0.0, False, False, {}


@pytest.mark.parametrize(
    ("env", "steps"),
    [(Endless(), 5), (gymnasium.wrappers.TimeLimit(Endless(), 9), 9), (gymnasium.make("lit_metarl/PointRobot-v0"), 20)],
)
def test_an_episode_without_an_end_is_as_long_as_in_training(
    checkpoint: Path, env: gymnasium.Env[Any, Any], steps: int
) -> None:
    trial = load_trained(checkpoint, env=partial(PointRobot, horizon=5)).begin_trial(env)
    for _ in range(2):
        trial.begin_episode(env.reset(seed=0)[0])
        made = 0
        while trial.running.any():
            trial.observe(env.step(trial.act()))
            made += 1
        assert made == steps


def test_an_environment_of_another_size_is_refused(checkpoint: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"env = 'SingleTaskEnv'.*shape \(20,\).*have \(2,\)"):
        load_trained(checkpoint).begin_trial(gymnasium.make("lit_metarl/HalfCheetahVel-v0"))


def test_an_environment_with_other_actions_is_refused(checkpoint: Path) -> None:
    agent = load_trained(checkpoint)
    for env, actions in ((OneWay(1), "1 numbers"), (TwoChoices(1), "2 choices")):
        with pytest.raises(
            ConfigurationError, match=f"its actions are {actions}, and those of the agent's own are 2 num"
        ):
            agent.begin_trial(env)


class Scaled(PointRobot):
    """Built from a function, which no checkpoint can hold."""

    def __init__(self, num_envs: int, seed: int = 0, scale: Callable[[float], float] = abs) -> None:
        super().__init__(num_envs, seed)
        self.scale = scale


def test_an_environment_that_no_checkpoint_can_hold_is_given_again(tmp_path: Path) -> None:
    def env(num_envs: int, seed: int) -> Scaled:
        return Scaled(num_envs, seed, scale=lambda value: 2 * value)

    trainer = tiny_trainer(max_epochs=1)
    trainer.fit(tiny_agent(), datamodule=tiny_data(env=env))
    trainer.save_checkpoint(tmp_path / "agent.ckpt")
    with pytest.raises(ConfigurationError, match=r"cannot hold what .*Scaled was built with: scale.*env=…"):
        load_trained(tmp_path / "agent.ckpt")
    assert isinstance(load_trained(tmp_path / "agent.ckpt", env=env).make_env(), Scaled)
