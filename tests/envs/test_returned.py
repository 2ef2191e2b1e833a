"""What a user's environment returns is copied and converted, or refused by class and method."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.replay import KnownReward
from envs import ContractError, MetaEnv, MetaEnvSpec, PointRobot, Reward
from envs.base import box, never
from envs.errors import NonFiniteError
from envs.task_distributions import FiniteTasks, TaskDistribution

NUM_ENVS = 3
Change = Callable[[Any], Any]


class Reusing(PointRobot):
    """A point robot that hands out the same tensors in every step."""

    def __init__(self, num_envs: int, seed: int = 0) -> None:
        super().__init__(num_envs, seed)
        self.shared = torch.zeros(num_envs)
        self.flags = torch.zeros(num_envs, dtype=torch.bool)

    def _simulate(self, actions: Tensor, env_ids: Tensor) -> Tensor:
        super()._simulate(actions, env_ids)
        return self._position

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        self.shared.copy_(super().reward(features, tasks).reward)
        return Reward(self.shared, self.shared, self.flags)

    def success(self, features: Tensor, tasks: Tensor) -> Tensor:
        return self.flags


def test_tensors_that_an_environment_uses_again_are_copied() -> None:
    env, other = Reusing(NUM_ENVS, seed=3), PointRobot(NUM_ENVS, seed=3)
    outcomes, expected = [], []
    for each, kept in ((env, outcomes), (other, expected)):
        kept.append(each.reset())
        for _ in range(3):
            kept.append(each.step(torch.full((NUM_ENVS, 2), 0.05)))
    assert torch.equal(outcomes[0][0], expected[0][0])
    for (*mine, info), (*theirs, expected_info) in zip(outcomes[1:], expected[1:]):
        assert torch.equal(mine[0], theirs[0])
        assert torch.equal(mine[1], theirs[1])
        assert torch.equal(info["features"], expected_info["features"])
        parts = [*mine, *info.values()]
        assert len({part.data_ptr() for part in parts}) == len(parts)


def changed(method: str, change: Change) -> PointRobot:
    """A point robot of which one method returns something else."""

    class Changed(PointRobot):
        def success(self, features: Tensor, tasks: Tensor) -> Tensor:
            return never(features[..., 0])

    original = getattr(Changed, method)
    setattr(Changed, method, lambda self, *given: change(original(self, *given)))
    return Changed(NUM_ENVS, seed=1)


def one_step(env: MetaEnv) -> Any:
    env.reset()
    return env.step(torch.full((NUM_ENVS, 2), 0.05))


@pytest.mark.parametrize(
    ("method", "change"),
    [
        ("_observe", lambda seen: seen.double()),
        ("_observe", lambda seen: seen.numpy()),
        ("_observe", lambda seen: seen.clone().requires_grad_()),
        ("_simulate", lambda features: features.double().numpy()),
        ("reward", lambda given: Reward(*(part.numpy() for part in given))),
        ("reward", lambda given: tuple(given)),
        ("reward", lambda given: given._replace(reward=given.reward.double(), terminated=given.terminated.int())),
        ("success", lambda success: success.float().numpy()),
    ],
)
def test_harmless_differences_are_converted(method: str, change: Change) -> None:
    *values, info = one_step(changed(method, change))
    *expected, expected_info = one_step(PointRobot(NUM_ENVS, seed=1))
    assert [part.dtype for part in values] == [torch.float32] * 2 + [torch.bool] * 2
    assert [part.dtype for part in info.values()] == [torch.float32] * 2 + [torch.bool]
    for mine, theirs in zip([*values, *info.values()], [*expected, *expected_info.values()]):
        assert torch.equal(mine, theirs)
        assert not mine.requires_grad


@pytest.mark.parametrize(
    ("method", "change", "given", "expected"),
    [
        (
            "_observe",
            lambda seen: seen[:, 0],
            "a tensor of float32 and shape (3,)",
            "numbers (float32) of shape (3, 2)",
        ),
        ("_observe", lambda seen: None, "None", "(3, 2)"),
        ("_observe", lambda seen: "hot", "a str", "(3, 2)"),
        ("_simulate", lambda features: features.numpy()[:2], "an array of float32 and shape (2, 2)", "(3, 2)"),
        ("reward", lambda given: given.reward, "a tensor of float32", "a Reward(reward, sparse_reward, terminated)"),
        ("reward", lambda given: given._replace(reward=given.reward[:, None]), "shape (3, 1)", "(3,)"),
        ("reward", lambda given: given._replace(sparse_reward=1.0), "a float", "(3,)"),
        ("reward", lambda given: given._replace(terminated=given.reward), "other values than 0 and 1", "flags"),
        ("success", lambda success: success[0], "shape ()", "(3,)"),
    ],
)
def test_other_kinds_and_shapes_are_refused_by_class_and_method(
    method: str, change: Change, given: str, expected: str
) -> None:
    with pytest.raises(ContractError) as refused:
        one_step(changed(method, change))
    message = str(refused.value)
    assert message.startswith(f"Changed.{method}")
    assert given in message.partition(", expected ")[0]
    assert expected in message.partition(", expected ")[2]


def broken(value: Any) -> Any:
    """The value with one number of the last sub-environment replaced by NaN."""
    value = value.clone()
    value.view(len(value), -1)[2, 0] = torch.nan
    return value


@pytest.mark.parametrize(
    ("method", "change", "name"),
    [
        ("_observe", broken, "Changed._observe"),
        ("_simulate", broken, "Changed._simulate"),
        ("reward", lambda given: given._replace(reward=broken(given.reward)), "Changed.reward"),
        ("reward", lambda given: given._replace(sparse_reward=broken(given.reward)), "Changed.reward (sparse)"),
    ],
)
def test_what_is_not_finite_is_told_where_it_enters(method: str, change: Change, name: str) -> None:
    env = changed(method, change)
    with pytest.raises(NonFiniteError) as told:
        one_step(env)
    assert str(told.value).startswith(f"{name} gives ")
    assert f"in sub-environment 2, whose task is {env.tasks[2].tolist()}" in str(told.value)


def test_sub_environments_that_do_not_run_may_hold_anything() -> None:
    env = changed("_observe", broken)
    env.reset(options={"reset_mask": [True, True, False]})
    observation, *_ = env.step(torch.zeros(NUM_ENVS, 2))
    assert bool(observation[2].isnan().any())


def test_rewards_for_other_tasks_are_the_environments_own_and_nobody_elses() -> None:
    class FeaturesOnly(PointRobot):
        def reward(self, features: Tensor, tasks: Tensor) -> Reward:
            reward = features[..., 0].double()  # a view, and the same for all tasks
            return Reward(reward, reward, reward > 0)

    features = torch.randn(1, 7, 2)
    given = KnownReward(FeaturesOnly(1)).compute_rewards(
        TensorDict({"features": features}, [1, 7]), torch.zeros(4, 1, 2), torch.zeros(4, 1)
    )
    assert given.reward.dtype == torch.float32
    assert torch.equal(given.reward, features[..., 0].expand(4, 7))
    given.reward.zero_()
    assert bool((features != 0).all())


def test_a_reward_that_knows_one_batch_dimension_only_is_right_for_all_tasks_too() -> None:
    class FirstColumn(PointRobot):
        def reward(self, features: Tensor, tasks: Tensor) -> Reward:
            reward = -(features[:, 0] - tasks[:, 0]).abs()
            return Reward(reward, reward, reward > 1)

    features, tasks = torch.randn(4, 5, 2), torch.randn(4, 1, 2)
    given = FirstColumn(1).compute_rewards(features, tasks).reward
    assert torch.equal(given, -(features[..., 0] - tasks[..., 0]).abs())


def test_tasks_of_whole_numbers_flags_or_numpys_become_float32_of_their_own() -> None:
    class Mine(TaskDistribution):
        task_dim = 2
        kept = np.array([[0, 1], [1, 0], [1, 1]])

        def sample(self, n: int, generator: torch.Generator) -> Any:
            return self.kept[:n]

        def contains(self, tasks: Tensor) -> Any:
            return (tasks.numpy() >= 0).all(-1)

    class OwnTasks(PointRobot):
        task_distribution: TaskDistribution = Mine()

    env = OwnTasks(NUM_ENVS)
    assert torch.equal(env.tasks, torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))
    env.tasks.zero_()
    assert Mine.kept.any()
    env.set_tasks(torch.ones(NUM_ENVS, 2, dtype=torch.int64))
    for numbers in ([[0], [1]], [[False], [True]]):
        assert FiniteTasks(numbers).sample(5, torch.Generator()).dtype == torch.float32


def test_tasks_of_another_shape_are_refused_by_their_class() -> None:
    class Flat(FiniteTasks):
        def sample(self, n: int, generator: torch.Generator) -> Tensor:
            return torch.zeros(n)

    with pytest.raises(
        ContractError, match=re.escape("Flat.sample gives a tensor of float32 and shape (4,), expected")
    ):
        Flat([[0.0, 0.0]]).sample(4, torch.Generator())


@pytest.mark.parametrize("name", ["meta_spec", "task_distribution", "single_observation_space", "single_action_space"])
def test_an_environment_without_a_part_is_refused_by_name(name: str) -> None:
    incomplete = type("Incomplete", (PointRobot,), {name: None})
    with pytest.raises(ContractError, match=f"Incomplete.{name} gives nothing, expected a"):
        incomplete(1)


def test_a_spec_whose_names_are_one_text_or_whose_episodes_have_no_step_is_refused() -> None:
    sizes = {"observation_dim": 1, "action_dim": 1, "task_changes": PointRobot.meta_spec.task_changes}
    with pytest.raises(ContractError, match=r"task_names gives 'liked', expected a tuple, such as \('liked',\)"):
        MetaEnvSpec("Room", task_names="liked", feature_names=("a",), horizon=3, **sizes)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="horizon gives 0, expected at least 1"):
        MetaEnvSpec("Room", task_names=("liked",), feature_names=("a",), horizon=0, **sizes)


def test_an_observation_space_of_float64_is_no_obstacle() -> None:
    class Wide(PointRobot):
        single_observation_space = box(-np.inf, np.inf, 2)
        single_action_space = type(PointRobot.single_action_space)(-0.1, 0.1, (2,), np.float64)

    env = Wide(NUM_ENVS)
    env.reset(seed=0)
    observation, *_ = env.step(torch.full((NUM_ENVS, 2), 0.1, dtype=torch.float64))
    assert observation.dtype == torch.float32
