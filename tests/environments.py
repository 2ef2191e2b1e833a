"""Environments and algorithms that only tests need."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Discrete
from tensordict import TensorDict
from torch import Tensor

from datamodules.contracts import Decision, Transition
from envs import (
    ENVIRONMENTS,
    ML10,
    ML25,
    ML45,
    GridNavi,
    HalfCheetahVel,
    MetaEnv,
    MetaEnvSpec,
    PointRobot,
    Reward,
    TaskChanges,
)
from envs.base import box
from lit_metarl.algorithms import MetaRLModule

QUICK_ENVS: tuple[type[MetaEnv], ...] = tuple(
    env_class for env_class in ENVIRONMENTS if env_class not in (ML10, ML25, ML45)
)
"""All environments but those whose scenes take seconds to load, which tests/envs/manipulation covers."""


class DriftingPoint(PointRobot):
    """A point robot whose tasks are declared to change the dynamics."""

    meta_spec = replace(PointRobot.meta_spec, name="DriftingPoint", task_changes=TaskChanges.DYNAMICS)


class OffsetGrid(GridNavi):
    """GridNavi with choices from 10 to 14."""

    meta_spec = replace(GridNavi.meta_spec, name="OffsetGrid")
    single_action_space = Discrete(5, start=10)


class ShortPoint(PointRobot):
    """A point robot with few steps to film."""

    meta_spec = replace(PointRobot.meta_spec, name="ShortPoint", horizon=5)


class Unrendered(PointRobot):
    """A point robot that cannot be drawn."""

    meta_spec = replace(PointRobot.meta_spec, name="Unrendered")
    render_frame = MetaEnv.render_frame


class ShortCheetah(HalfCheetahVel):
    """A half-cheetah with few steps to film."""

    meta_spec = replace(HalfCheetahVel.meta_spec, name="ShortCheetah", horizon=4)


class EndingPoint(PointRobot):
    """A point robot whose episodes end for good near the goal, so that sub-environments end at different times."""

    meta_spec = replace(PointRobot.meta_spec, name="EndingPoint")

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        reward, sparse_reward, _ = super().reward(features, tasks)
        return Reward(reward, sparse_reward, reward > -0.7)


class Misshapen(PointRobot):
    """A point robot whose reward has a dimension too many."""

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        reward, sparse_reward, terminated = super().reward(features, tasks)
        return Reward(reward[..., None], sparse_reward, terminated)


class Sparking(PointRobot):
    """A point robot that loses sight of itself."""

    def _observe(self) -> Tensor:
        return torch.full((self.num_envs, 2), torch.nan)


class Boundless(PointRobot):
    """A point robot that may move as far as it likes."""

    single_action_space = box(-np.inf, np.inf, 2)


class Wordy(PointRobot):
    """A point robot that observes a text."""

    def _observe(self) -> Any:
        return "here"


class Blind(MetaRLModule):
    """An algorithm that acts at random, learns nothing and has no foresight."""

    def __init__(self, meta_spec: MetaEnvSpec, **common: Any) -> None:
        super().__init__(meta_spec, exploration_episodes=1, **common)
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def start_trial(self, n: int, generator: torch.Generator) -> TensorDict:
        return TensorDict({}, [n])

    def act(self, observation: Tensor, belief: TensorDict, deterministic: bool, generator: torch.Generator) -> Decision:
        return Decision(2 * torch.rand(len(observation), self.meta_spec.action_dim, generator=generator) - 1)

    def observe(self, belief: TensorDict, transition: Transition) -> TensorDict:
        return belief

    def end_episode(self, belief: TensorDict, generator: torch.Generator) -> TensorDict:
        return belief

    def update(self, batch: Any) -> dict[str, Tensor]:
        return {}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)
