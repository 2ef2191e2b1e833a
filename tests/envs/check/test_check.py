"""`python -m envs.check` finds what is wrong with an environment, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from envs import GridNavi, MetaEnv, PointRobot, Reward
from envs.check import check
from envs.check.__main__ import main
from envs.task_distributions import UniformBox
from tests.environments import EndingPoint
from tests.envs.from_gymnasium import line as lines
from tests.envs.from_gymnasium.line import RELABELED, line

CONFIGS = Path(__file__).parents[3] / "configs" / "gymnasium"


class Forgetful(PointRobot):
    """Saves nothing."""

    def _load_simulation_state(self, state: dict[str, Tensor]) -> None:
        pass


class Windy(PointRobot):
    """Saves all but the wind, which each has its own of."""

    def __init__(self, num_envs: int, seed: int = 0) -> None:
        super().__init__(num_envs, seed)
        self._wind = 0.1 * torch.rand(num_envs, 2, generator=self.generator)

    def _simulate(self, actions: Tensor, env_ids: Tensor) -> Tensor:
        return super()._simulate(actions + self._wind[env_ids], env_ids)


class Dizzy(PointRobot):
    """Takes random numbers from the global generator."""

    def _start(self, env_ids: Tensor) -> None:
        super()._start(env_ids)
        self._position[env_ids] += torch.rand(len(env_ids), 2)


class Drags(PointRobot):
    """The task changes the dynamics, which its spec denies."""

    def _simulate(self, actions: Tensor, env_ids: Tensor) -> Tensor:
        return super()._simulate(actions + 0.1 * self.tasks[env_ids], env_ids)


class BrokenFarAway(PointRobot):
    """Its reward is not a number where random actions do not lead."""

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        reward, *others = super().reward(features, tasks)
        return Reward(torch.where(features[..., 0] > 2.0, torch.nan, reward), *others)


class Gusty(PointRobot):
    """Every step has noise from the common generator."""

    def _simulate(self, actions: Tensor, env_ids: Tensor) -> Tensor:
        gusts = 0.01 * torch.randn(len(env_ids), 2, generator=self.generator)
        return super()._simulate(actions + gusts, env_ids)


class Crowded(PointRobot):
    """Those that run hinder each other."""

    def _simulate(self, actions: Tensor, env_ids: Tensor) -> Tensor:
        return super()._simulate(actions / len(env_ids), env_ids)


class EndsRight(PointRobot):
    """Episodes end on the right, so that sub-environments end at different times."""

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        given = super().reward(features, tasks)
        return given._replace(terminated=(features[..., 0] > 0.5).expand_as(given.reward))


class Scribbles(PointRobot):
    """Its reward changes the features."""

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        features += 1.0
        return super().reward(features, tasks)


class Rows(PointRobot):
    """Its reward takes rows only."""

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        return Reward(*(part.reshape(-1)[: len(features)] for part in super().reward(features, tasks)))


class Endless(PointRobot):
    """Its tasks are any numbers."""

    class Anything(UniformBox):
        def contains(self, tasks: Tensor) -> Tensor:
            return torch.ones(len(tasks), dtype=torch.bool)

    task_distribution = Anything([-1.0, -1.0], [1.0, 1.0])


class NoGoal(lines.Line):
    """Its task is forgotten."""

    def set_goal(self, goal: float) -> None:
        pass


class Global(lines.Line):
    """Its noise is not seeded."""

    def observe(self) -> Any:
        return super().observe() + float(torch.rand(1, generator=UNSEEDED))


UNSEEDED = torch.Generator()


def adapted(env: Any, **arguments: Any) -> Callable[[int, int], MetaEnv]:
    return lambda num_envs, seed: line(num_envs, seed, env=env, **arguments)


@pytest.mark.parametrize(
    ("make_env", "message"),
    [
        (Forgetful, "After its saved state is restored, an episode goes on with another"),
        (Windy, "After its saved state is restored, an episode goes on with another"),
        (Dizzy, "Two environments of the same seed, under the same actions, differ in `observation`"),
        (BrokenFarAway, "BrokenFarAway.reward gives"),
        (Drags, "says that its tasks change the reward alone, but"),
        (Crowded, "depends on whether the others are running"),
        (Scribbles, "changes the features or the tasks"),
        (Rows, "reward.. does not broadcast: features .*, expected the values for each pair, .3, 20."),
        (Endless, "The task distribution says that it contains a task of NaN"),
        (adapted(NoGoal), "The task does nothing: under 3 pairs of tasks"),
        (adapted(Global), "Two environments of the same seed, under the same actions, differ in `observation`"),
        (adapted(lines.RaisesAtOnce), "its step raises KeyError: 'lost'"),
        (adapted(lines.Raises, horizon=20), "Raises, sub-environment 0, whose task is .*: step raises KeyError"),
        (adapted(lines.NotANumber), "gives nan under the task"),
        (adapted(lines.Line, **{**RELABELED, "reward": lines.squared}), "expected what the environment gave"),
    ],
)
def test_what_is_wrong_is_found(make_env: Callable[[int, int], MetaEnv], message: str) -> None:
    found = [finding.text for finding in check(make_env) if finding.is_wrong]
    assert any(re.search(message, text) for text in found), found


@pytest.mark.parametrize(
    "make_env",
    [
        PointRobot,
        EndingPoint,  # under some tasks sooner than under others
        EndsRight,
        adapted(lines.Line),
        adapted(lines.EndsAbove),
        adapted(lines.Choosing),
        adapted(lines.Line, **RELABELED),
    ],
)
def test_nothing_is_found_where_nothing_is_wrong(make_env: Callable[[int, int], MetaEnv]) -> None:
    assert check(make_env) == []


def test_a_state_that_cannot_be_saved_is_good_to_know() -> None:
    (finding,) = check(adapted(lines.Unsavable))
    assert "resumed at the next trial" in finding.text
    assert not finding.is_wrong


def test_common_noise_of_those_that_run_is_good_to_know() -> None:
    (finding,) = check(Gusty)
    assert "whether the others are running: its steps draw random numbers for those that run" in finding.text
    assert not finding.is_wrong


def test_the_command_checks_a_class_with_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    module = "tests.envs.from_gymnasium.line"
    arguments = [f"env={module}.Line", "horizon=6", "task_distribution=envs.task_distributions.UniformBox"]
    box = ["task_distribution.init_args.low=[-1.0]", "task_distribution.init_args.high=[1.0]"]
    assert main(["envs.FromGymnasium", *arguments, *box, "task_attributes=[goal]"]) == 0
    assert capsys.readouterr().out == (
        "envs.FromGymnasium: nothing to correct in episodes of random actions, and of the smallest and the largest "
        "action held.\n"
    )
    assert main(["envs.FromGymnasium", *arguments, *box, "task_attributes=[gaol]"]) == 1
    assert "Line has no attribute of that name" in capsys.readouterr().out


def test_the_command_checks_the_environment_of_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(CONFIGS / "pendulum_gravity.yaml"), "horizon=5"]) == 0
    assert "pendulum_gravity.yaml: nothing to correct in " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there must be either one class or a file"),
        (["envs.Nowhere"], "it cannot be imported"),
        (["tests.envs.from_gymnasium.line.Line"], "python -m envs.check envs.FromGymnasium env=tests"),
        (["envs.errors.require"], "it is not a MetaEnv"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--config", "pyproject.toml"], "is not usable"),
        (["envs.FromGymnasium", "colour=red"], "colour"),
        (["envs.FromGymnasium"], "the following arguments are required: env, task_distribution"),
    ],
)
def test_a_wrong_command_is_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_the_first_and_the_last_choice_are_held() -> None:
    chosen: list[int] = []

    class Watched(GridNavi):
        def _simulate(self, actions: Tensor, env_ids: Tensor) -> Tensor:
            chosen.extend(actions.argmax(-1).tolist())
            return super()._simulate(actions, env_ids)

    check(Watched)
    at_once = 3 * GridNavi.meta_spec.horizon
    held = {tuple(chosen[first : first + at_once]) for first in range(len(chosen))}
    assert {(0,) * at_once, (4,) * at_once} <= held
