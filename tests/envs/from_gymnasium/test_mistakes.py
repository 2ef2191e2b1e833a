"""A mistake in an environment from Gymnasium's gets one message, before a run where it can be known."""

from __future__ import annotations

from collections import deque
from typing import Any
from unittest.mock import Mock

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.wrappers import NormalizeObservation, NormalizeReward, TimeLimit

from envs import ConfigurationError, ContractError
from envs.errors import SimulationError
from envs.from_gymnasium import factory
from envs.task_distributions import UniformBox
from tests.envs.from_gymnasium import line as lines
from tests.envs.from_gymnasium.line import RELABELED, line, play

MODULE = "tests.envs.from_gymnasium.line"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task_method": "set_gaol"}, "task_method = 'set_gaol' is not usable: Line has no method of that name"),
        ({"task_attributes": ["unwrapped.goall"]}, "'unwrapped.goall' is not usable: Line has no attribute"),
        ({"task_attributes": ["unwrapped.goal[3]"]}, "Line has no attribute of that name"),
        ({"task_method": "set_goal", "task_options": ["goal"]}, "there must be exactly one way to set a task"),
        ({"task_method": None}, "there must be exactly one way to set a task"),
        ({"task_arguments": ["gaol"]}, "making it raises TypeError: .*unexpected keyword argument 'gaol'"),
        (
            {"task_distribution": UniformBox([0.0, 0.0], [1.0, 1.0])},
            "task_names = .'goal'. is not usable: a task of the distribution has 2 numbers",
        ),
        ({"task_distribution": UniformBox}, r"task_distribution = .* Call the class: UniformBox\(…\)"),
        ({"task_distribution": None}, "task_distribution = None is not usable: it must be an object of the class"),
        ({"env": lambda: NormalizeObservation(lines.Line())}, "statistics of its own.* fixed numbers"),
        ({"env": lambda: TimeLimit(NormalizeReward(lines.Line()), 9)}, "each sub-environment's NormalizeReward would"),
        ({"horizon": None}, "horizon = None .*Line has no time limit of Gymnasium's"),
        ({"horizon": 0}, "horizon = 0 is not usable: it must be a whole number of at least 1"),
        ({"processes": 0}, "processes = 0 is not usable: it must be a whole number of at least 1"),
        ({"env": "Pendulm-v1"}, "Gymnasium has none of that id .*nearest id is 'Pendulum-v1'"),
        ({"env": "no_package:Mine-v0"}, "no_package"),
        ({"env": "no_package.Mine"}, "env = 'no_package.Mine' .* cannot be imported"),
        ({"env": f"{MODULE}.not_annotated"}, "annotated to return one. Annotate the function"),
        ({"env": "os.getcwd"}, "neither a subclass of gymnasium.Env nor a function"),
        ({"env": dict}, "it gives a dict, not a gymnasium.Env"),
        ({"env": f"{MODULE}.always_the_same"}, "it gave the same environment twice"),
        ({"env": lines.NotANumber}, "NotANumber, as `observation`, gives nan under the task"),
        (
            {"env": lines.OtherShapeInSteps},
            r"under the task .*, its step raises ValueError: .* shape \(2,\), but the space has shape \(1,\)",
        ),
        ({"env": lines.RaisesAtOnce}, r"under the task \[.*\], its step raises KeyError: 'lost'"),
        ({"env": lines.Unbounded}, "Unbounded.action_space gives bounds"),
        ({"env": lines.ManyChoices}, "ManyChoices.action_space gives MultiDiscrete"),
        ({"reward": lines.reward}, "reward, features and feature_names belong together"),
        ({**RELABELED, "reward": "lines.nowhere"}, "reward = 'lines.nowhere' .* cannot be imported"),
        ({**RELABELED, "feature_names": ["place", "speed"]}, "features.. gives 1 numbers, but feature_names has 2"),
        ({**RELABELED, "reward": lines.squared}, "as `reward`, gives -.*, expected what the environment gave, -"),
        (
            {**RELABELED, "env": lines.ShowsGoal},
            "tasks change more than the reward: after the same seed and the same 0 actions",
        ),
    ],
)
def test_a_mistake_is_found_when_the_environment_is_made(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        line(**arguments)


@pytest.mark.parametrize("error", [ImportError("no ale"), gymnasium.error.DependencyNotInstalled("no Box2D")])
def test_a_package_that_a_registered_environment_lacks_is_named(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(factory, "load_env_creator", Mock(side_effect=error))
    with pytest.raises(
        ConfigurationError, match=r"env = 'LunarLander-v3' .* imported \(no .*\)\. Install what is missing"
    ):
        line(env="LunarLander-v3")


def test_statistics_that_no_longer_change_are_fixed_numbers() -> None:
    def frozen() -> Any:
        env = NormalizeObservation(lines.Line())
        env.update_running_mean = False
        return env

    line(env=frozen).reset()


def test_a_task_outside_the_distribution_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Line, sub-environment 1: task \[5.0\]: it lies outside"):
        line().set_tasks(torch.tensor([[0.0], [5.0], [0.0]]))


@pytest.mark.parametrize("processes", [1, 3])
def test_an_exception_names_the_sub_environment_its_task_and_the_place(processes: int) -> None:
    env = line(env=lines.Raises, horizon=20, processes=processes)
    env.reset(options={"tasks": torch.tensor([[0.5]])})
    message = r"Raises, sub-environment 0, whose task is \[0.5\]: step raises KeyError: 'lost' \(line.py, line \d+\)"
    with pytest.raises(SimulationError, match=message):
        play(env, 9)


def test_a_process_that_dies_is_told() -> None:
    env = line(4, env=lines.Dies, processes=2)
    env.reset()
    with pytest.raises(SimulationError, match=r"simulates the sub-environments 0 to 1 has died \(exit code 7\)"):
        play(env, 3)


def test_a_reward_that_disagrees_later_is_told_with_both_numbers() -> None:
    def late(features: Any, tasks: Any) -> Any:
        reward = lines.reward(features, tasks)
        return torch.where(features[..., 0] > 3.0, 100.0, reward)

    env = line(**{**RELABELED, "reward": late}, horizon=20)
    env.reset()
    with pytest.raises(ContractError, match=r"gives 100, expected what the environment gave, -.*under the task \["):
        deque(map(env.step, torch.ones(20, 3, 1)), maxlen=0)


@pytest.mark.parametrize("picture", [None, np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8)])
def test_what_is_no_picture_is_refused(monkeypatch: pytest.MonkeyPatch, picture: Any) -> None:
    monkeypatch.setattr(lines.Pictured, "render", lambda env: picture)
    env = line(1, env=f"{MODULE}.Pictured")
    env.reset()
    with pytest.raises(RuntimeError, match="render.. gives .*, not a picture"):
        env.render_frame(0)


def test_there_is_no_picture_before_the_first_reset() -> None:
    with pytest.raises(RuntimeError, match="frame raises RuntimeError: no episode has been started; reset it first"):
        line(1, env=f"{MODULE}.Pictured").render_frame(0)


def test_an_environment_without_a_picture_says_so() -> None:
    env = line(1)
    env.reset()
    with pytest.raises(RuntimeError, match="Line.*it has no picture. Write its method render.*rgb_array"):
        env.render_frame(0)
