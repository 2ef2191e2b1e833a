"""Helpers of the environment tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from envs import MetaEnv


def _random_actions(env: MetaEnv, generator: torch.Generator) -> Tensor:
    unit = torch.rand(env.num_envs, env.meta_spec.action_dim, generator=generator)
    return env.action_low + (env.action_high - env.action_low) * unit


@pytest.fixture
def random_actions() -> Callable[[MetaEnv, torch.Generator], Tensor]:
    """Uniformly random actions for every sub-environment."""
    return _random_actions
