"""Our agents behind Meta-World's own evaluation."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules import RolloutDataModule
from datamodules.contracts import Decision, Transition
from envs import ML10, ConfigurationError, MetaEnv, PointRobot
from lit_metarl import cli
from lit_metarl.algorithms import MAML
from lit_metarl.evaluation.meta_world_protocol import MetaWorldProtocol, ProtocolAgent, WatchedEnvironments
from tests.conftest import CONFIGS

RUN = [
    f"--config={CONFIGS / 'env' / 'ml1.yaml'}",
    "--data.env.init_args.horizon=6",
    "--data.evaluation.test_tasks=2",
    "--data.evaluation.num_envs=2",
    "--trainer.enable_progress_bar=false",
]
PROTOCOL = [
    f"--config={CONFIGS / 'metaworld_protocol.yaml'}",
    "--trainer.callbacks.init_args.evaluations=1",
    "--trainer.callbacks.init_args.meta_batch_size=2",
    "--trainer.callbacks.init_args.tasks_per_scene=2",
    "--trainer.callbacks.init_args.adaptation_episodes=2",
    "--trainer.callbacks.init_args.evaluation_episodes=3",  # more than the environments of a scene
]
ALGORITHMS = {
    "PEARL": [f"--config={CONFIGS}/{part}.yaml" for part in ("quickstart", "algorithm/pearl_small")],
    "RL2": [f"--config={CONFIGS}/algorithm/rl2.yaml"],
    "MAML": [f"--config={CONFIGS}/algorithm/maml.yaml", "--model.init_args.episodes_per_step=2"],
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_protocol_runs_beside_our_own_test(
    algorithm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["test", *ALGORITHMS[algorithm], *RUN, *PROTOCOL]
    sampler = ["--data.task_sampler=datamodules.tasks.UniformTaskSampler"]
    assert cli.main([*arguments, *sampler, f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=false"]) == 0
    printed = capsys.readouterr().out
    for figure in ("metaworld_success", "metaworld_return", "metaworld_success_reach-v3", "test/success"):
        assert figure in printed


def test_numbers_below_one_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="MetaWorldProtocol: evaluations = 0"):
        MetaWorldProtocol(evaluations=0)


@pytest.mark.parametrize(
    ("env_class", "numbers", "message"),
    [
        (PointRobot, {}, "RolloutDataModule: env = 'PointRobot'"),
        (ML10, {"meta_batch_size": 7}, "MetaWorldProtocol: meta_batch_size = 7 .* multiple of the 5 test scenes"),
        (ML10, {"tasks_per_scene": 50}, "MetaWorldProtocol: tasks_per_scene = 50 .* multiple of the 4 environments"),
        (ML10, {"adaptation_episodes": 2}, "MetaWorldProtocol: adaptation_episodes = 2 .* 3 exploration episodes"),
    ],
)
def test_what_the_protocol_cannot_evaluate_is_refused(
    env_class: type[MetaEnv], numbers: dict[str, int], message: str
) -> None:
    trainer: Any = SimpleNamespace(datamodule=Mock(spec=RolloutDataModule, env=env_class(1)))
    agent: Any = SimpleNamespace(exploration_episodes=3)
    with pytest.raises(ConfigurationError, match=message):
        MetaWorldProtocol(**numbers).setup(trainer, agent, "test")


class Recorder:
    """An agent that notes what it is told."""

    def __init__(self) -> None:
        self.seen: list[Transition] = []
        self.ended = 0
        self.deterministic: list[bool] = []

    def start_trial(self, n: int, generator: torch.Generator) -> TensorDict:
        return TensorDict({}, [n])

    def act(self, observation: Tensor, belief: TensorDict, deterministic: bool, generator: torch.Generator) -> Decision:
        self.deterministic.append(deterministic)
        return Decision(torch.zeros(len(observation), 4))

    def observe(self, belief: TensorDict, transition: Transition) -> TensorDict:
        self.seen.append(transition)
        return belief

    def end_episode(self, belief: TensorDict, generator: torch.Generator) -> TensorDict:
        self.ended += 1
        return belief


class Counting:
    """Two environments that count their steps; the second ends every second step and starts again at 0."""

    num_envs = 2

    def __init__(self) -> None:
        self._counts = np.zeros(2)

    def reset(self) -> Any:
        self._counts[:] = 0
        return self._counts[:, None].copy(), {}

    def step(self, actions: Any) -> Any:
        self._counts += 1
        final = np.array([None, self._counts[1:].copy()], dtype=object)
        ends = np.array([False, self._counts[1] == 2])
        self._counts[ends] = 0
        return self._counts[:, None].copy(), np.arange(2.0), ends, np.zeros(2, bool), {"final_obs": final}


def test_the_agent_sees_how_an_episode_ended_and_not_how_the_next_began() -> None:
    recorder: Any = Recorder()
    agent = ProtocolAgent(recorder, torch.device("cpu"), 2, torch.Generator())
    environments: Any = WatchedEnvironments(Counting(), agent)
    observation, _ = environments.reset()
    for act in (lambda seen: agent.adapt_action(seen)[0], agent.eval_action, agent.eval_action):
        observation, *_ = environments.step(act(observation))
    assert [step.observation[:, 0].tolist() for step in recorder.seen] == [[0, 0], [1, 1], [2, 0]]
    assert [step.next_observation[:, 0].tolist() for step in recorder.seen] == [[1, 1], [2, 2], [3, 1]]
    assert [step.terminated.tolist() for step in recorder.seen] == [[False, False], [False, True], [False, False]]
    assert recorder.deterministic == [False, True, True]
    assert environments.num_envs == 2


def test_an_inner_step_learns_from_the_actions_that_were_drawn_not_from_the_bounded_ones() -> None:
    model = MAML(PointRobot.meta_spec, layers=[4], episodes_per_step=1, initial_std=2.0)
    drawn: list[Tensor] = []
    act = model.act

    def recorded(*given: Any) -> Decision:
        drawn.append(act(*given).extras["raw_action"])
        return Decision(drawn[-1].clamp(-1.0, 1.0), {"raw_action": drawn[-1]})

    model.act = recorded  # type: ignore[method-assign]
    agent = ProtocolAgent(model, torch.device("cpu"), 2, torch.Generator().manual_seed(0))
    running = np.zeros(2, bool)
    for step in range(5):
        observation = np.full((2, 2), float(step))
        actions, _ = agent.adapt_action(observation)
        agent.observe(observation, actions, observation + 1, np.ones(2), [running, running])
    kept = agent._belief["raw_action"][:, 0, :5]
    assert torch.equal(kept, torch.stack(drawn, 1))
    assert bool((kept.abs() > 1.0).any())
