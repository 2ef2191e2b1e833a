"""What holds for every world."""

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
from tests.environments import QUICK_ENVS

NUM_ENVS = 3
every_environment = pytest.mark.parametrize("env_class", QUICK_ENVS, ids=lambda env: env.__name__)
Actions = Callable[[MetaEnv, torch.Generator], Tensor]


@pytest.fixture(scope="module")
def environments() -> dict[type[MetaEnv], MetaEnv]:
    """One instance of every world, each built once."""
    return {env_class: env_class(NUM_ENVS, seed=1) for env_class in QUICK_ENVS}


@every_environment
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_reward_of_a_step_equals_reward_recomputed_from_features(env_class: type[MetaEnv], seed: int) -> None:
    env, generator = env_class(NUM_ENVS, seed=seed), torch.Generator().manual_seed(seed)
    env.set_tasks(env.task_distribution.sample(NUM_ENVS, generator))
    env.restart()
    other_tasks = env.task_distribution.sample(5, generator)
    steps, active = [], torch.ones(NUM_ENVS, dtype=torch.bool)
    for _ in range(6):
        unit = torch.rand(NUM_ENVS, env.meta_spec.action_dim, generator=generator)
        steps.append(env.advance(env.action_low + (env.action_high - env.action_low) * unit, active))
        assert all(
            torch.equal(mine[active], again[active])
            for mine, again in zip(steps[-1].reward, env.reward(steps[-1].features, env.tasks))
        )
        active = active & ~(steps[-1].reward.terminated | steps[-1].truncated)
        if not active.any():
            break
    features = torch.stack([step.features for step in steps], 1)[0]  # [time, features] of the first copy
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
        """Random actions; a copy that ends gets a new task and starts again."""
        seen = []
        for _ in range(steps):
            step = env.advance(random_actions(env, generator))
            seen += [step.observation, step.features, *step.reward, step.truncated]
            ended = step.reward.terminated | step.truncated
            if ended.any():
                env.set_tasks(env.task_distribution.sample(NUM_ENVS, env.generator))
                seen.append(env.restart(ended.nonzero()[:, 0]))
        return seen

    original = env_class(NUM_ENVS, seed=3)
    original.restart()
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
    observation = env.restart()
    assert observation.shape == (NUM_ENVS, spec.observation_dim)
    assert observation.dtype == torch.float32
    assert env.tasks.shape == (NUM_ENVS, spec.task_dim)
    step = env.advance(random_actions(env, torch.Generator()))
    assert step.observation.shape == (NUM_ENVS, spec.observation_dim)
    assert step.features.shape == (NUM_ENVS, spec.feature_dim)
    assert step.features.dtype == step.reward.reward.dtype == step.reward.sparse_reward.dtype == torch.float32
    expected_success = None if step.success is None else (NUM_ENVS,)
    assert expected_success is None or step.success.shape == expected_success
    assert env.single_observation_space.contains(observation[0].numpy())


@every_environment
def test_an_observation_that_was_handed_out_does_not_change_later(
    env_class: type[MetaEnv], environments: dict[type[MetaEnv], MetaEnv], random_actions: Actions
) -> None:
    env, generator = environments[env_class], torch.Generator()
    kept = env.restart()
    before = kept.clone()
    step = env.advance(random_actions(env, generator))
    after = step.observation.clone(), step.features.clone()
    active = ~(step.reward.terminated | step.truncated)
    env.advance(random_actions(env, generator), active)
    assert torch.equal(kept, before)
    assert torch.equal(step.observation, after[0])
    assert torch.equal(step.features, after[1])


@every_environment
def test_inactive_copies_stay_as_they_are(
    env_class: type[MetaEnv], environments: dict[type[MetaEnv], MetaEnv], random_actions: Actions
) -> None:
    env = environments[env_class]
    observation = env.restart()
    active = torch.tensor([True, False, True])
    step = env.advance(random_actions(env, torch.Generator()), active)
    assert torch.equal(step.observation[1], observation[1])
    assert env._elapsed.tolist() == [1, 0, 1]


@every_environment
def test_an_episode_is_cut_off_at_the_horizon(env_class: type[MetaEnv], random_actions: Actions) -> None:
    env, generator = env_class(2, seed=0), torch.Generator()
    env.restart()
    env._elapsed[:] = env.meta_spec.horizon - 1
    step = env.advance(random_actions(env, generator))
    assert (step.truncated | step.reward.terminated).all()
    with pytest.raises(RuntimeError, match=f"{env.meta_spec.name}, copy 0: the episode has ended"):
        env.advance(random_actions(env, generator))


@every_environment
def test_tasks_of_the_reference_distribution_are_accepted(
    env_class: type[MetaEnv], environments: dict[type[MetaEnv], MetaEnv]
) -> None:
    env = environments[env_class]
    tasks = env.task_distribution.sample(2000, torch.Generator().manual_seed(0))
    assert bool(env.task_distribution.contains(tasks).all())
    assert tasks.shape == (2000, env.meta_spec.task_dim)


@every_environment
def test_wrong_tasks_are_refused_with_world_copy_and_value(
    env_class: type[MetaEnv], environments: dict[type[MetaEnv], MetaEnv]
) -> None:
    env = environments[env_class]
    name, good = env.meta_spec.name, env.tasks.clone()
    with pytest.raises(ValueError, match=rf"{name}: tasks have shape \(3, {env.meta_spec.task_dim + 1}\), expected"):
        env.set_tasks(torch.zeros(NUM_ENVS, env.meta_spec.task_dim + 1))
    for wrong in (torch.nan, -100.0):
        tasks = good.clone()
        tasks[1] = wrong
        with pytest.raises(ValueError, match=rf"{name}, copy 1: task .*{wrong}.* lies outside"):
            env.set_tasks(tasks)
    assert torch.equal(env.tasks, good)


@every_environment
def test_wrong_steps_are_refused_with_world_copy_and_value(env_class: type[MetaEnv], random_actions: Actions) -> None:
    env, generator = env_class(NUM_ENVS), torch.Generator()
    name, actions = env.meta_spec.name, random_actions(env, generator)
    with pytest.raises(RuntimeError, match=f"{name}, copy 0: the episode has ended or never started"):
        env.advance(actions)
    env.restart()
    actions[2, 0] = torch.inf
    with pytest.raises(ValueError, match=rf"{name}, copy 2: action \[inf.* is not finite"):
        env.advance(actions)
    with pytest.raises(ValueError, match=f"{name}: no copy is active"):
        env.advance(random_actions(env, generator), torch.zeros(NUM_ENVS, dtype=torch.bool))
    with pytest.raises(ValueError, match=rf"{name}: actions have shape \(3, 99\), expected"):
        env.advance(torch.zeros(NUM_ENVS, 99))
    for shape in ((NUM_ENVS + 1,), (1,), (NUM_ENVS, 1)):
        with pytest.raises(ValueError, match=rf"{name}: active has shape {re.escape(str(shape))}, expected \(3,\)"):
            env.advance(random_actions(env, generator), torch.ones(shape, dtype=torch.bool))


def test_the_copy_that_may_not_act_is_named_among_those_that_act() -> None:
    env, actions, active = PointRobot(4), torch.zeros(4, 2), torch.tensor([False, True, True, True])
    env.restart()
    actions[[0, 3]] = torch.nan
    with pytest.raises(ValueError, match="PointRobot, copy 3: action .* is not finite"):
        env.advance(actions, active)
    env._running[[0, 2]] = False
    with pytest.raises(RuntimeError, match="PointRobot, copy 2: the episode has ended"):
        env.advance(actions, active)


def test_of_a_choice_only_the_largest_entry_counts() -> None:
    env, other = GridNavi(1, seed=1), GridNavi(1, seed=1)
    env.restart()
    other.restart()
    for choice in range(5):
        actions = torch.full((1, 5), 3.0)
        actions[0, choice] = 4.0
        expected = other.advance(torch.eye(5)[choice][None]).observation
        assert torch.equal(env.advance(actions).observation, expected)


@pytest.mark.parametrize("shape", [(), (1,), (NUM_ENVS + 1,)])
def test_a_reward_that_says_for_other_than_every_copy_whether_it_ends_is_refused(shape: tuple[int, ...]) -> None:
    class Forgetful(PointRobot):
        def reward(self, features: Tensor, tasks: Tensor) -> Reward:
            return super().reward(features, tasks)._replace(terminated=torch.zeros(shape, dtype=torch.bool))

    env = Forgetful(NUM_ENVS)
    env.restart()
    with pytest.raises(
        ValueError, match=r"Forgetful.reward, as `terminated`, gives .*, expected flags .* of shape \(3,\)"
    ):
        env.advance(torch.zeros(NUM_ENVS, 2))


def test_a_state_of_another_number_of_copies_is_refused() -> None:
    state = PointRobot(1).state_dict()
    with pytest.raises(ValueError, match="PointRobot: a state of 1 copies does not fit 2"):
        PointRobot(2).load_state_dict(state)


@pytest.mark.filterwarnings("ignore:.*is clipped")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool])
@pytest.mark.parametrize("env_class", [PointRobot, GridNavi])
def test_actions_may_be_numbers_of_any_kind(env_class: type[MetaEnv], dtype: torch.dtype) -> None:
    env, other = env_class(NUM_ENVS, seed=1), env_class(NUM_ENVS, seed=1)
    actions = torch.eye(NUM_ENVS, env.meta_spec.action_dim)
    env.restart()
    other.restart()
    assert torch.equal(env.advance(actions).observation, other.advance(actions.to(dtype)).observation)


@every_environment
def test_tasks_of_reward_worlds_leave_the_dynamics_alone(env_class: type[MetaEnv], random_actions: Actions) -> None:
    first, second = env_class(2, seed=5), env_class(2, seed=5)
    tasks = first.task_distribution.sample(4, torch.Generator().manual_seed(1))
    first.set_tasks(tasks[:2])
    second.set_tasks(tasks[2:])
    observations = []
    for env in (first, second):
        env.restart()
        generator = torch.Generator().manual_seed(0)
        for _ in range(12):
            if env._running.any():
                step = env.advance(random_actions(env, generator), torch.from_numpy(env._running.copy()))
        observations.append(step.observation)
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
def test_a_task_that_is_none_of_the_worlds_is_refused_when_its_environment_is_made(task: Any) -> None:
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
    env.restart()
    features = env.advance(random_actions(env, torch.Generator())).features
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
    assert env.observation_space.contains(observation)
    env.action_space.seed(0)
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    assert env.observation_space.contains(observation)
    assert reward.shape == terminated.shape == truncated.shape == info["sparse_reward"].shape == (NUM_ENVS,)
    mask = np.array([True, False, True])
    again, _ = env.reset(options={"reset_mask": mask})
    assert (again[1] == observation[1]).all()
    assert env._elapsed.tolist() == [0, 1, 0]
