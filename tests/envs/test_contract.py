"""What holds for every environment."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from envs import ConfigurationError, GridNavi, MetaEnv, PointRobot, Reward, TaskChanges
from envs.base import EvaluationPurpose
from envs.task_distributions import FiniteTasks, TaskDistribution
from tests.environments import QUICK_ENVS, EndingPoint

NUM_ENVS = 3
every_environment = pytest.mark.parametrize("env_class", QUICK_ENVS, ids=lambda env: env.__name__)
Actions = Callable[[MetaEnv, torch.Generator], Tensor]


@pytest.fixture(scope="module")
def environments() -> dict[type[MetaEnv], MetaEnv]:
    """One instance of every environment, each built once."""
    return {env_class: env_class(NUM_ENVS, seed=1) for env_class in QUICK_ENVS}


@every_environment
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_reward_of_a_step_equals_reward_recomputed_from_features(env_class: type[MetaEnv], seed: int) -> None:
    env, generator = env_class(NUM_ENVS, seed=seed), torch.Generator().manual_seed(seed)
    env.reset(options={"tasks": env.task_distribution.sample(NUM_ENVS, generator)})
    other_tasks = env.task_distribution.sample(5, generator)
    recorded = []
    while len(recorded) < 6 and env.running.any():
        unit = torch.rand(NUM_ENVS, env.meta_spec.action_dim, generator=generator)
        running = env.running
        _, reward, terminated, _, info = env.step(env.action_low + (env.action_high - env.action_low) * unit)
        again = env.reward(info["features"], env.tasks)
        for mine, recomputed in zip((reward, info["sparse_reward"], terminated), again):
            assert torch.equal(mine[running], recomputed[running])
        recorded.append(info["features"])
    features = torch.stack(recorded, 1)[0]  # [time, features] of the first sub-environment
    grid = env.reward(features[None], other_tasks[:, None])
    for row, task in enumerate(other_tasks):
        for time, moment in enumerate(features):
            one = env.reward(moment, task)
            assert all(torch.allclose(grid[part][row, time], one[part]) for part in range(3))
    assert all(part.shape == (5, len(features)) for part in grid)
    assert grid.terminated.dtype == torch.bool


@every_environment
def test_a_saved_state_continues_bit_identically(env_class: type[MetaEnv], random_actions: Actions) -> None:
    def play(env: MetaEnv, generator: torch.Generator, steps: int) -> list[Tensor]:
        """Random actions; a sub-environment whose episode ends gets a new task and is reset."""
        seen = []
        for _ in range(steps):
            *values, info = env.step(random_actions(env, generator))
            seen += [*values, *info.values()]
            if not env.running.all():
                tasks = env.task_distribution.sample(NUM_ENVS, env.generator)
                seen.append(env.reset(options={"reset_mask": ~env.running, "tasks": tasks})[0])
        return seen

    original = env_class(NUM_ENVS, seed=3)
    original.reset()
    play(original, torch.Generator().manual_seed(0), 17)
    state = original.state_dict()
    restored = env_class(NUM_ENVS, seed=99)
    restored.load_state_dict(state)
    expected = play(original, torch.Generator().manual_seed(1), 25)
    continued = play(restored, torch.Generator().manual_seed(1), 25)
    assert len(expected) == len(continued)
    assert all(torch.equal(a, b) for a, b in zip(expected, continued))


@every_environment
@pytest.mark.filterwarnings("ignore::UserWarning")  # advice about bounds and seeding, not failures
def test_the_registered_environment_passes_gymnasiums_checker(env_class: type[MetaEnv]) -> None:
    environment = gymnasium.make(f"lit_metarl/{env_class.meta_spec.name}-v0")
    check_env(environment.unwrapped, skip_render_check=True)
    environment.close()


@every_environment
def test_sizes_are_those_of_the_spec(
    env_class: type[MetaEnv], environments: dict[type[MetaEnv], MetaEnv], random_actions: Actions
) -> None:
    env, spec = environments[env_class], env_class.meta_spec
    observation, _ = env.reset()
    assert observation.shape == (NUM_ENVS, spec.observation_dim)
    assert observation.dtype == torch.float32
    assert env.tasks.shape == (NUM_ENVS, spec.task_dim)
    after, reward, terminated, truncated, info = env.step(random_actions(env, torch.Generator()))
    assert after.shape == (NUM_ENVS, spec.observation_dim)
    assert info["features"].shape == (NUM_ENVS, spec.feature_dim)
    numbers, flags = (reward, info["sparse_reward"]), (terminated, truncated, info.get("success", truncated))
    assert all(part.shape == (NUM_ENVS,) for part in (*numbers, *flags))
    assert {part.dtype for part in (after, info["features"], *numbers)} == {torch.float32}
    assert {part.dtype for part in flags} == {torch.bool}
    assert env.single_observation_space.contains(observation[0].numpy())


@every_environment
def test_an_observation_that_was_handed_out_does_not_change_later(
    env_class: type[MetaEnv], environments: dict[type[MetaEnv], MetaEnv], random_actions: Actions
) -> None:
    env, generator = environments[env_class], torch.Generator()
    kept, _ = env.reset()
    before = kept.clone()
    observation, *_, info = env.step(random_actions(env, generator))
    after = observation.clone(), info["features"].clone()
    env.step(random_actions(env, generator))
    assert torch.equal(kept, before)
    assert torch.equal(observation, after[0])
    assert torch.equal(info["features"], after[1])


@every_environment
def test_what_a_step_returns_is_new_finite_and_of_the_promised_kind(
    env_class: type[MetaEnv], environments: dict[type[MetaEnv], MetaEnv], random_actions: Actions
) -> None:
    env = environments[env_class]
    env.reset()
    observation, reward, terminated, truncated, info = env.step(random_actions(env, torch.Generator()))
    numbers = [observation, reward, info["features"], info["sparse_reward"]]
    flags = [terminated, truncated, *([info["success"]] if "success" in info else [])]
    assert all(value.dtype == torch.float32 and bool(value.isfinite().all()) for value in numbers)
    assert all(value.dtype == torch.bool and value.shape == (NUM_ENVS,) for value in flags)
    handed_out = [value.numpy() for value in (*numbers, *flags)]
    kept = [np.asarray(value) for value in vars(env).values() if isinstance(value, Tensor | np.ndarray)]
    for index, value in enumerate(handed_out):
        assert not any(np.may_share_memory(value, other) for other in (*handed_out[index + 1 :], *kept))


@every_environment
def test_a_sub_environment_whose_episode_has_ended_ignores_its_actions(
    env_class: type[MetaEnv], environments: dict[type[MetaEnv], MetaEnv], random_actions: Actions
) -> None:
    env, generator = environments[env_class], torch.Generator()
    env.reset()
    env._elapsed[1] = env.meta_spec.horizon - 1
    observation, *_ = env.step(random_actions(env, generator))
    assert env.running.tolist() == [True, False, True]
    actions = random_actions(env, generator)
    actions[1] = torch.nan
    after, reward, terminated, truncated, info = env.step(actions)
    assert torch.equal(after[1], observation[1])
    assert not torch.equal(after, observation) or env_class is GridNavi
    assert env._elapsed.tolist() == [2, env.meta_spec.horizon, 2]
    assert not any(part[1].any() for part in (reward, terminated, truncated, *info.values()))
    env.reset(options={"reset_mask": ~env.running})
    assert env.running[1]
    assert env._elapsed[1] == 0


@every_environment
def test_an_episode_is_cut_off_at_the_horizon(env_class: type[MetaEnv], random_actions: Actions) -> None:
    env, generator = env_class(2, seed=0), torch.Generator()
    env.reset()
    env._elapsed[:] = env.meta_spec.horizon - 2
    _, _, terminated, truncated, _ = env.step(random_actions(env, generator))
    assert not truncated.any()
    _, _, at_last, truncated, _ = env.step(random_actions(env, generator))
    assert torch.equal(truncated, ~(terminated | at_last))
    with pytest.raises(RuntimeError, match=f"{env.meta_spec.name}: every episode has ended or never started"):
        env.step(random_actions(env, generator))


def test_an_episode_that_terminates_at_the_horizon_is_not_cut_off() -> None:
    env = EndingPoint(2, horizon=1)
    env.reset(options={"tasks": torch.tensor([[0.5, 0.5], [0.5, 0.5]])})
    env._position[:] = torch.tensor([[0.5, 0.5], [-1.0, -1.0]])  # at the goal, where an episode terminates; far from it
    _, _, terminated, truncated, _ = env.step(torch.zeros(2, 2))
    assert terminated.tolist() == [True, False]
    assert truncated.tolist() == [False, True]


def test_a_state_can_be_loaded_again_after_the_environment_went_on() -> None:
    env = GridNavi(2, seed=0)
    env.reset()
    env.step(torch.tensor([1, 2]))
    state = env.state_dict()
    before = {key: value.clone() for key, value in state.items()}
    env.load_state_dict(state)
    env.step(torch.tensor([1, 2]))
    torch.testing.assert_close(state, before, rtol=0.0, atol=0.0, equal_nan=True)  # what was no part of a path is NaN


def test_sub_environments_without_a_task_stay_idle_and_take_nothing_from_the_others() -> None:
    env, full = PointRobot(4, seed=2), PointRobot(4, seed=2)
    tasks = env.tasks[:2].clone()
    full.set_tasks(torch.cat((tasks, tasks[-1:], tasks[-1:])))
    for _ in range(2):
        env.reset(options={"tasks": tasks})
        full.reset()
        assert env.running.tolist() == [True, True, False, False]
        ours, theirs = env.step(torch.full((4, 2), 0.1)), full.step(torch.full((4, 2), 0.1))
        assert torch.equal(ours[0][:2], theirs[0][:2])
        assert ours[1][2:].tolist() == [0.0, 0.0]
    restored = PointRobot(4)
    restored.load_state_dict(env.state_dict())
    restored.reset()
    assert restored.running.tolist() == [True, True, False, False]
    with pytest.raises(ValueError, match="PointRobot: 5 tasks do not fit into 4 sub-environments"):
        env.set_tasks(torch.zeros(5, 2))


def test_only_the_sub_environments_of_the_mask_get_new_tasks() -> None:
    env = PointRobot(3)
    before, tasks = env.tasks.clone(), torch.zeros(3, 2)
    env.reset()
    env.reset(options={"reset_mask": [False, True, False], "tasks": tasks})
    assert torch.equal(env.tasks, torch.stack((before[0], tasks[1], before[2])))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": [True] * 3}, r"unknown reset options \['mask'\]; there are reset_mask and tasks"),
        ({"reset_mask": [True] * 4}, r"reset_mask has shape \(4,\), expected \(3,\)"),
        ({"tasks": torch.zeros(3, 5)}, r"tasks have shape \(3, 5\), expected \(3, 2\)"),
    ],
)
def test_reset_options_of_other_names_and_shapes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"PointRobot: {message}"):
        PointRobot(3).reset(options=options)


def test_several_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="PointRobot: the sub-environments share one generator; give one seed"):
        PointRobot(2).reset(seed=[1, 2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reset_mask": [True], "tasks": torch.zeros(3, 2)}, r"reset_mask has shape \(1,\), expected \(3,\)"),
        ({"reset_mask": [True] * 3, "tasks": torch.zeros(1, 2)}, r"beside a reset_mask, tasks have shape \(1, 2\)"),
        ({"tasks": torch.full((3, 2), torch.nan)}, "sub-environment 0: task .* lies outside"),
    ],
)
def test_a_reset_that_is_refused_changes_nothing(options: dict[str, Any], message: str) -> None:
    env = PointRobot(3)
    before = env.state_dict()
    with pytest.raises(ValueError, match=f"PointRobot.*{message}"):
        env.reset(seed=5, options=options)
    torch.testing.assert_close(env.state_dict(), before, rtol=0.0, atol=0.0, equal_nan=True)


def test_tasks_that_are_held_out_for_validation_or_test_are_accepted() -> None:
    class HoldsOut(PointRobot):
        def evaluation_tasks(self, purpose: EvaluationPurpose) -> TaskDistribution:
            return FiniteTasks([[5.0, 5.0]] if purpose == "validation" else [[6.0, 6.0]])

    tasks = torch.tensor([[0.0, 0.0], [5.0, 5.0], [6.0, 6.0], [7.0, 7.0]])
    assert HoldsOut(1).has_tasks(tasks).tolist() == [True, True, True, False]


@every_environment
def test_tasks_of_the_reference_distribution_are_accepted(
    env_class: type[MetaEnv], environments: dict[type[MetaEnv], MetaEnv]
) -> None:
    env = environments[env_class]
    tasks = env.task_distribution.sample(2000, torch.Generator().manual_seed(0))
    assert bool(env.task_distribution.contains(tasks).all())
    assert tasks.shape == (2000, env.meta_spec.task_dim)


@every_environment
def test_wrong_tasks_are_refused_with_environment_and_value(
    env_class: type[MetaEnv], environments: dict[type[MetaEnv], MetaEnv]
) -> None:
    env = environments[env_class]
    name, good = env.meta_spec.name, env.tasks.clone()
    with pytest.raises(ValueError, match=rf"{name}: tasks have shape \(3, {env.meta_spec.task_dim + 1}\), expected"):
        env.set_tasks(torch.zeros(NUM_ENVS, env.meta_spec.task_dim + 1))
    for wrong in (torch.nan, -100.0):
        tasks = good.clone()
        tasks[1] = wrong
        with pytest.raises(ValueError, match=rf"{name}, sub-environment 1: task .*{wrong}.* lies outside"):
            env.set_tasks(tasks)
    assert torch.equal(env.tasks, good)


@pytest.mark.parametrize("shape", [(), (1,), (NUM_ENVS + 1,)])
def test_termination_flags_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    class Forgetful(PointRobot):
        def reward(self, features: Tensor, tasks: Tensor) -> Reward:
            return super().reward(features, tasks)._replace(terminated=torch.zeros(shape, dtype=torch.bool))

    env = Forgetful(NUM_ENVS)
    env.reset()
    with pytest.raises(
        ValueError, match=r"Forgetful.reward, as `terminated`, gives .*, expected flags .* of shape \(3,\)"
    ):
        env.step(torch.zeros(NUM_ENVS, 2))


def test_a_state_of_another_number_of_sub_environments_is_refused() -> None:
    state = PointRobot(1).state_dict()
    with pytest.raises(ValueError, match="PointRobot: a state of 1 sub-environments does not fit 2"):
        PointRobot(2).load_state_dict(state)


@every_environment
def test_tasks_of_reward_environments_leave_the_dynamics_alone(
    env_class: type[MetaEnv], random_actions: Actions
) -> None:
    first, second = env_class(2, seed=5), env_class(2, seed=5)
    tasks = first.task_distribution.sample(4, torch.Generator().manual_seed(1))
    first.set_tasks(tasks[:2])
    second.set_tasks(tasks[2:])
    observations = []
    for env in (first, second):
        env.reset()
        generator = torch.Generator().manual_seed(0)
        for _ in range(12):
            if env.running.any():
                observation, *_ = env.step(random_actions(env, generator))
        observations.append(observation)
    same = torch.equal(*observations)
    only_rewards = env_class.meta_spec.task_changes is TaskChanges.REWARD
    # The noise of KhazadDum may not show; tasks of ML1 also place a puck, which is observed.
    assert same == only_rewards or env_class.meta_spec.name in {"KhazadDum", "ML1"}


def test_a_seeded_gymnasium_reset_repeats_itself() -> None:
    environment = gymnasium.make("lit_metarl/HalfCheetahVel-v0", task=[2.0])
    first, info = environment.reset(seed=7)
    again, _ = environment.reset(seed=7)
    assert (first == again).all()
    assert info["task"].tolist() == [2.0]


@pytest.mark.parametrize("task", [1.5, "fast", [1.0, 2.0], [100.0], [None]])
def test_a_task_that_is_none_of_the_environments_is_refused_when_its_environment_is_made(task: Any) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"task = {task!r} ") + ".*HalfCheetahVel"):
        gymnasium.make("lit_metarl/HalfCheetahVel-v0", task=task)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observation_dim": 3}, r"observation_dim = 3, .* \(2,\)"),
        ({"action_dim": 4}, r"action_dim = 4, .* \(2,\)"),
        ({"task_names": ("goal_x",)}, r"task_dim = 1, .* \(2,\)"),
        ({"discrete_actions": True}, "discrete_actions = True, .* False"),
    ],
)
def test_a_spec_that_contradicts_the_spaces_or_the_tasks_is_refused(changes: dict[str, Any], message: str) -> None:
    class Contradicting(PointRobot):
        meta_spec = replace(PointRobot.meta_spec, **changes)

    with pytest.raises(ValueError, match=f"PointRobot: .*{message}"):
        Contradicting(NUM_ENVS)


def test_a_spec_that_miscounts_the_choices_is_refused() -> None:
    class Contradicting(GridNavi):
        meta_spec = replace(GridNavi.meta_spec, action_dim=4)

    with pytest.raises(ValueError, match=r"GridNavi: .*action_dim = 4, .* \(5,\)"):
        Contradicting(NUM_ENVS)


@every_environment
def test_reward_changes_none_of_its_inputs(
    env_class: type[MetaEnv], environments: dict[type[MetaEnv], MetaEnv], random_actions: Actions
) -> None:
    env = environments[env_class]
    env.reset()
    features = env.step(random_actions(env, torch.Generator()))[4]["features"]
    tasks = env.tasks.clone()
    kept = features.clone(), tasks.clone()
    env.reward(features, tasks)
    env.reward(features[None], tasks[:, None])
    assert torch.equal(features, kept[0])
    assert torch.equal(tasks, kept[1])


@every_environment
def test_the_batch_is_a_gymnasium_vector_environment(env_class: type[MetaEnv]) -> None:
    env = env_class(NUM_ENVS)
    assert isinstance(env, gymnasium.vector.VectorEnv)
    observation, _ = env.reset(seed=4)
    assert env.observation_space.contains(observation.numpy())
    env.action_space.seed(0)
    observation, *_ = env.step(torch.from_numpy(env.action_space.sample()))
    assert env.observation_space.contains(observation.numpy())
    again, _ = env.reset(options={"reset_mask": np.array([True, False, True])})
    assert torch.equal(again[1], observation[1])
    assert env._elapsed.tolist() == [0, 1, 0]


def test_gymnasiums_wrapper_converts_to_arrays() -> None:
    pytest.importorskip("array_api_compat", reason="comes with gymnasium[array-api]")
    env = gymnasium.wrappers.vector.ArrayConversion(GridNavi(2), env_xp=torch, target_xp=np)
    env.reset(seed=0)
    observation, reward, *_, info = env.step(env.action_space.sample())
    assert all(isinstance(part, np.ndarray) for part in (observation, reward, info["features"]))
