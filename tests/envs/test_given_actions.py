"""Actions of any kind are understood, wrong ones refused, and those beyond the bounds clipped."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from envs import GridNavi, MetaEnv, PointRobot
from tests.environments import QUICK_ENVS

NUM_ENVS = 3
Actions = Callable[[MetaEnv, torch.Generator], Tensor]


@pytest.mark.parametrize("env_class", QUICK_ENVS, ids=lambda env: env.__name__)
def test_wrong_actions_are_refused_with_environment_and_value(
    env_class: type[MetaEnv], random_actions: Actions
) -> None:
    env, generator = env_class(NUM_ENVS), torch.Generator()
    name, actions = env.meta_spec.name, random_actions(env, generator)
    with pytest.raises(RuntimeError, match=f"{name}: every episode has ended or never started; reset"):
        env.step(actions)
    env.reset()
    actions[2, 0] = torch.inf
    with pytest.raises(ValueError, match=rf"{name}, sub-environment 2: action \[inf.* is not finite"):
        env.step(actions)
    with pytest.raises(ValueError, match=rf"{name}: actions have shape \(3, 99\), expected"):
        env.step(torch.zeros(NUM_ENVS, 99))


def test_the_sub_environment_whose_action_is_not_finite_is_named_among_those_that_run() -> None:
    env, actions = PointRobot(4), torch.zeros(4, 2)
    env.reset()
    env._running[0] = False
    actions[[0, 3]] = torch.nan
    with pytest.raises(ValueError, match="PointRobot, sub-environment 3: action .* is not finite"):
        env.step(actions)


@pytest.mark.filterwarnings("ignore:.*is clipped")
def test_actions_are_clipped_to_the_bounds() -> None:
    env = PointRobot(2)
    before, _ = env.reset()
    after, *_ = env.step(torch.tensor([[5.0, -5.0], [0.05, 0.2]]))
    torch.testing.assert_close(after - before, torch.tensor([[0.1, -0.1], [0.05, 0.1]]))


def test_choices_that_are_ignored_may_be_any() -> None:
    env = GridNavi(2)
    env.reset()
    env._running[0] = False
    after, *_ = env.step(torch.tensor([99, 2]))
    assert after.tolist() == [[0.0, 0.0], [1.0, 0.0]]


def test_of_a_choice_only_the_largest_entry_counts() -> None:
    env, other = GridNavi(1, seed=1), GridNavi(1, seed=1)
    env.reset()
    other.reset()
    for choice in range(5):
        actions = torch.full((1, 5), 3.0)
        actions[0, choice] = 4.0
        assert torch.equal(env.step(actions)[0], other.step(torch.eye(5)[choice][None])[0])


@pytest.mark.filterwarnings("ignore:.*is clipped")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool])
@pytest.mark.parametrize("env_class", [PointRobot, GridNavi])
def test_actions_may_be_numbers_of_any_kind(env_class: type[MetaEnv], dtype: torch.dtype) -> None:
    env, other = env_class(NUM_ENVS, seed=1), env_class(NUM_ENVS, seed=1)
    actions = torch.eye(NUM_ENVS, env.meta_spec.action_dim)
    env.reset()
    other.reset()
    assert torch.equal(env.step(actions)[0], other.step(actions.to(dtype))[0])
