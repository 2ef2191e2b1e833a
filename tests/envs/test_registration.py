"""Gymnasium's ids: `make` gives a single environment, `make_vec` the batched class, with tasks by a reset's options."""

from __future__ import annotations

import inspect
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from envs import ENVIRONMENTS, ConfigurationError, HalfCheetahVel, MetaEnv, PointRobot
from tests.environments import QUICK_ENVS

GOALS = torch.tensor([[0.5, -0.5], [0.25, 0.75], [-1.0, 1.0]])


def make_vec(name: str, num_envs: int, **arguments: Any) -> Any:
    """The vector environment of an environment's name."""
    return gymnasium.make_vec(f"lit_metarl/{name}-v0", num_envs=num_envs, **arguments)


@pytest.mark.parametrize("env_class", QUICK_ENVS, ids=lambda env: env.__name__)
def test_make_vec_gives_the_batched_class(env_class: type[MetaEnv]) -> None:
    env = make_vec(env_class.meta_spec.name, 3)
    assert type(env) is env_class
    assert env.num_envs == 3


def test_a_vector_environment_takes_tasks_render_mode_seed_and_the_environments_own_arguments() -> None:
    env = make_vec("PointRobot", 3, render_mode="rgb_array", seed=5, horizon=4)
    observation, _ = env.reset(options={"tasks": GOALS})
    assert torch.equal(env.tasks, GOALS)
    assert torch.equal(observation, PointRobot(3, seed=5).reset(options={"tasks": GOALS})[0])
    assert [picture.ndim for picture in env.render()] == [3, 3, 3]
    for _ in range(4):
        *_, truncated, _ = env.step(torch.zeros(3, 2))
    assert bool(truncated.all())


def test_a_vector_environment_renders_nothing_unless_it_is_asked_to() -> None:
    env = make_vec("PointRobot", 2)
    env.reset()
    assert env.render() is None


def test_an_unknown_render_mode_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"render_mode = 'human'.*rgb_array"):
        make_vec("PointRobot", 2, render_mode="human")


def test_a_reset_gives_a_single_environment_its_task() -> None:
    env = gymnasium.make("lit_metarl/PointRobot-v0")
    _, info = env.reset(options={"task": [0.5, -0.5]})
    assert info["task"].tolist() == [0.5, -0.5]
    *_, step_info = env.step(np.zeros(2, np.float32))
    assert step_info["sparse_reward"] < 0
    _, info = env.reset(seed=0)
    assert info["task"].tolist() != [0.5, -0.5]


def test_unseeded_environments_have_tasks_of_their_own_and_seeded_ones_the_same() -> None:
    def tasks(**arguments: Any) -> list[list[float]]:
        envs = [gymnasium.make("lit_metarl/PointRobot-v0", **arguments) for _ in range(2)]
        return [env.reset()[1]["task"].tolist() for env in envs]

    one, other = tasks()
    assert one != other
    one, other = tasks(seed=3)
    assert one == other


def test_a_misspelled_reset_option_is_refused() -> None:
    env = gymnasium.make("lit_metarl/PointRobot-v0")
    with pytest.raises(ValueError, match=r"unknown reset options \['tasks'\]; a single environment has task"):
        env.reset(options={"tasks": [[0.5, -0.5]]})


@pytest.mark.parametrize("env_class", QUICK_ENVS, ids=lambda env: env.__name__)
def test_the_horizon_is_an_argument(env_class: type[MetaEnv]) -> None:
    env = env_class(2, horizon=3)  # type: ignore[call-arg]
    env.reset()
    for step in range(3):
        *_, terminated, truncated, _ = env.step(torch.zeros(2, env.meta_spec.action_dim))
        assert bool((truncated | terminated).all()) == (step == 2)
    assert env_class.meta_spec.horizon != 3


@pytest.mark.parametrize("env_class", ENVIRONMENTS, ids=lambda env: env.__name__)
def test_every_environment_documents_its_horizon(env_class: type[MetaEnv]) -> None:
    assert "\n    horizon: steps of an episode" in inspect.cleandoc(env_class.__doc__ or "")


def test_a_horizon_of_zero_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="horizon = 0"):
        HalfCheetahVel(2, horizon=0)
