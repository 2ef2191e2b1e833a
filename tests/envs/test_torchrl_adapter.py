"""Every environment is also one of torchrl's."""

from __future__ import annotations

import pytest
import torch
from torchrl.collectors import Collector
from torchrl.envs.utils import RandomPolicy, check_env_specs

from envs import GridNavi, HalfCheetahVel, HopperRandParams, MetaEnv, PointRobot
from envs.torchrl_adapter import TorchRLEnv
from tests.environments import QUICK_ENVS


@pytest.mark.parametrize("env_class", QUICK_ENVS, ids=lambda env: env.__name__)
def test_specs_hold(env_class: type[MetaEnv]) -> None:
    check_env_specs(TorchRLEnv(env_class(2)), seed=0)


@pytest.mark.parametrize("env_class", [GridNavi, HalfCheetahVel, HopperRandParams])
def test_a_collector_runs_it_over_the_ends_of_episodes(env_class: type[MetaEnv]) -> None:
    environment = TorchRLEnv(env_class(4))
    steps = 2 * env_class.meta_spec.horizon + 10
    collector = Collector(
        environment, RandomPolicy(environment.action_spec), frames_per_batch=4 * steps, total_frames=4 * steps
    )
    (batch,) = list(collector)
    assert batch.batch_size == (4, steps)
    assert bool(batch["next", "done"].sum(1).ge(2).all())
    expected = environment.env.reward(batch["next", "features"], batch["next", "task"])
    assert torch.allclose(expected.reward, batch["next", "reward"][..., 0])
    assert torch.equal(expected.terminated, batch["next", "terminated"][..., 0])


def test_a_partial_reset_leaves_the_other_sub_environments_alone() -> None:
    environment = TorchRLEnv(HalfCheetahVel(3))
    before = environment.reset()
    mask = before.clone().set("_reset", torch.tensor([[True], [False], [False]]))
    after = environment.reset(mask)
    assert not torch.equal(after["observation"][0], before["observation"][0])
    assert torch.equal(after["observation"][1:], before["observation"][1:])


def test_a_reset_of_a_collector_gives_the_tasks_of_its_next_frames() -> None:
    environment = TorchRLEnv(PointRobot(3))
    collector = Collector(environment, RandomPolicy(environment.action_spec), frames_per_batch=90, total_frames=180)
    frames = iter(collector)
    tasks = torch.tensor([[0.5, -0.5], [0.25, 0.75], [-1.0, 1.0]])
    next(frames)
    collector.reset(options={"tasks": tasks})
    batch = next(frames)
    assert torch.equal(batch["task"], tasks[:, None].expand(3, 30, 2))
    assert bool(batch["next", "done"].any())  # tasks are kept over the ends of episodes
    distance = torch.linalg.vector_norm(batch["next", "observation"] - tasks[:, None], dim=-1)
    assert torch.allclose(batch["next", "reward"][..., 0], -distance)
