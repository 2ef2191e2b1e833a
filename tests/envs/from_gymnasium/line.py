"""Small Gymnasium environments for the tests of `envs.FromGymnasium`."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from envs import FromGymnasium
from envs.from_gymnasium import Step
from envs.task_distributions import UniformBox

HORIZON = 6


class Line(gymnasium.Env[Any, Any]):
    """A point on a line; the reward is minus its distance from the goal."""

    observation_space: Any = spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space: Any = spaces.Box(-1.0, 1.0, (1,), np.float64)

    def __init__(self, goal: float = 0.0) -> None:
        self.goal = goal

    def set_goal(self, goal: float) -> None:
        self.goal = goal

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.goal = (options or {}).get("goal", self.goal)
        self.place = self.np_random.normal()
        return self.observe(), {}

    def observe(self) -> Any:
        return np.array([self.place])

    def step(self, action: Any) -> Any:
        self.place += float(np.sum(action)) + 0.1 * self.np_random.normal()
        return self.observe(), -abs(self.place - self.goal), False, False, {}


class Pictured(Line):
    """Gives a small picture, with the point as a bright column."""

    render_mode = "rgb_array"

    def render(self) -> Any:
        picture = np.zeros((40, 60, 3), np.uint8)
        picture[:, int(np.clip(30 + 10 * self.place, 0, 59))] = 255
        return picture


class EndsAbove(Line):
    """Terminates at the right, and cuts itself off at the left."""

    def step(self, action: Any) -> Any:
        observation, reward, *_ = super().step(action)
        return observation, reward, self.place > 2.0, self.place < -2.0, {}


class Raises(Line):
    def step(self, action: Any) -> Any:
        if self.elapsed == 6:
            raise KeyError("lost")
        self.elapsed += 1
        return super().step(action)

    elapsed = 0


class RaisesAtOnce(Line):
    def step(self, action: Any) -> Any:
        raise KeyError("lost")


class Dies(Line):
    """Ends its process, but not that of the tests."""

    parent = os.getpid()

    def step(self, action: Any) -> Any:
        if os.getpid() != self.parent:
            os._exit(7)
        return super().step(action)


class NotANumber(Line):
    def observe(self) -> Any:
        return np.array([np.nan])


class OtherShapeInSteps(Line):
    def step(self, action: Any) -> Any:
        observation, *rest = super().step(action)
        return np.repeat(observation, 2), *rest


class ShowsGoal(Line):
    def observe(self) -> Any:
        return np.array([self.place - self.goal])


class Unbounded(Line):
    action_space = spaces.Box(-np.inf, np.inf, (1,))


class Choosing(Line):
    action_space = spaces.Discrete(3, start=-1)

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action)
        return super().step(float(action))


class ManyChoices(Line):
    action_space = spaces.MultiDiscrete([2, 3])


class Unsavable(Line):
    def __init__(self, goal: float = 0.0) -> None:
        super().__init__(goal)
        self.secret = object()


class Holding(Line):
    """Keeps some value from its reset on."""

    def __init__(self, goal: float = 0.0, value: Any = None) -> None:
        super().__init__(goal)
        self.value = value


class Aliasing(Line):
    """Its place is known by two names."""

    def reset(self, **arguments: Any) -> Any:
        self.state = np.zeros(2)
        self.first = self.state[:1]
        return super().reset(**arguments)


TABLE = np.arange(6.0).reshape(3, 2)


class FromTable(Line):
    """Its row of a table changes at every reset and step."""

    row = 0

    def reset(self, **arguments: Any) -> Any:
        self.numbers = TABLE[self.row]
        return super().reset(**arguments)

    def step(self, action: Any) -> Any:
        self.row = (self.row + 1) % 3
        self.numbers = TABLE[self.row]
        return super().step(action)


class Closing(Line):
    """Counts how many have been closed in this process."""

    closed = 0

    def close(self) -> None:
        Closing.closed += 1


class Starting(Line):
    """Observes whether programs that it starts can be stopped."""

    def observe(self) -> Any:
        command = "import signal; print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
        done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
        return np.array([float(done.stdout.strip() == "True")])

    def step(self, action: Any) -> Any:
        return np.zeros(1), 0.0, False, False, {}


class SavesItself(Unsavable):
    def state_dict(self) -> dict[str, Any]:
        return {"place": self.place, "np_random": self.np_random}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.place, self.np_random = state["place"], state["np_random"]


ONLY_ONE = Line()


def always_the_same() -> gymnasium.Env[Any, Any]:
    return ONLY_ONE


def annotated(goal: float = 0.0) -> gymnasium.Env[Any, Any]:
    return gymnasium.wrappers.TimeLimit(Line(goal), 4)


def not_annotated():  # type: ignore[no-untyped-def]
    return Line()


def features(step: Step) -> list[float]:
    return [step.env.unwrapped.place]


def reward(features: Tensor, tasks: Tensor) -> Tensor:
    return -(features[..., 0] - tasks[..., 0]).abs()


def squared(features: Tensor, tasks: Tensor) -> Tensor:
    return -(features[..., 0] - tasks[..., 0]).square()


RELABELED: dict[str, Any] = {"reward": reward, "features": features, "feature_names": ["place"]}


def line(num_envs: int = 3, seed: int = 0, env: Any = Line, **arguments: Any) -> FromGymnasium:
    """A line with a goal in [-2, 2], set by a method unless `arguments` say otherwise."""
    if not any(key in arguments for key in ("task_attributes", "task_options", "task_arguments", "task_method")):
        arguments["task_method"] = "set_goal"
    arguments = {"horizon": HORIZON, "task_distribution": UniformBox([-2.0], [2.0]), **arguments}
    return FromGymnasium(num_envs, seed, env=env, **arguments)


def play(env: FromGymnasium, steps: int = HORIZON, first: int = 0) -> list[Tensor]:
    """Observations, rewards and flags of steps with given actions."""
    seen = []
    generator = torch.Generator().manual_seed(first)
    for _ in range(steps):
        unit = torch.rand(env.num_envs, env.meta_spec.action_dim, generator=generator)
        seen += list(env.step(env.action_low + (env.action_high - env.action_low) * unit)[:4])
    return seen
