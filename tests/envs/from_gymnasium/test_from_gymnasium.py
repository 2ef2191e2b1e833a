"""What an environment from Gymnasium's does."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import Any
from unittest.mock import Mock

import gymnasium
import numpy as np
import pytest
import torch

from envs import FromGymnasium, MetaEnv, TaskChanges
from envs.from_gymnasium.states import load_state, save_state
from envs.task_distributions import FiniteTasks, UniformBox
from tests.envs.from_gymnasium import line as lines
from tests.envs.from_gymnasium.line import RELABELED, line, play

MODULE = "tests.envs.from_gymnasium.line"


def test_an_episode_is_that_of_gymnasiums_own_environment() -> None:
    env = FromGymnasium(
        2, env="Pendulum-v1", task_attributes=["unwrapped.g"], task_distribution=UniformBox([5.0], [15.0])
    )
    assert env.meta_spec.horizon == 200
    assert env.meta_spec.task_names == ("g",)
    assert env.meta_spec.task_changes is TaskChanges.BOTH
    seeds = torch.randint(2**31, (2,), generator=torch.Generator().manual_seed(0)).tolist()
    env.generator.manual_seed(0)
    observation, _ = env.reset(options={"tasks": torch.tensor([[7.0], [12.0]])})
    singles = []
    for env_id, (gravity, seed) in enumerate(zip((7.0, 12.0), seeds)):
        single: Any = gymnasium.make("Pendulum-v1", g=gravity)
        expected, _ = single.reset(seed=seed)
        torch.testing.assert_close(observation[env_id], torch.from_numpy(expected))
        singles.append(single)
    for _ in range(3):
        observation, rewards, *_ = env.step(torch.full((2, 1), 0.5))
        for env_id, single in enumerate(singles):
            expected, reward, *_ = single.step([0.5])
            torch.testing.assert_close(observation[env_id], torch.from_numpy(expected))
            assert rewards[env_id].item() == pytest.approx(reward)


def test_what_a_step_returns_shares_no_memory() -> None:
    env = line(2)
    handed_out = [env.reset()[0]]
    for _ in range(2):
        observation, reward, terminated, truncated, info = env.step(torch.zeros(2, 1))
        handed_out += [observation, reward, terminated, truncated, info["sparse_reward"]]
    for index, value in enumerate(handed_out):
        for other in (*handed_out[index + 1 :], info["features"]):
            assert not np.shares_memory(value.numpy(), other.numpy())


@pytest.mark.parametrize(
    "way",
    [
        {"task_method": "set_goal"},
        {"task_attributes": ["goal"]},
        {"task_attributes": ["unwrapped.goal"]},
        {"task_options": ["goal"]},
        {"task_arguments": ["goal"]},
    ],
)
def test_every_way_to_set_a_task_sets_it(way: dict[str, Any]) -> None:
    env = line(**way)
    assert env.meta_spec.task_names == ("goal",)
    for goals in ([[-1.0], [0.0], [1.5]], [[-1.0], [2.0], [-0.5]]):
        env.reset(options={"tasks": torch.tensor(goals)})
        observation, reward, *_ = env.step(torch.zeros(3, 1))
        torch.testing.assert_close(reward, -(observation - env.tasks).abs()[:, 0])


def test_an_attribute_may_be_an_entry_of_an_array_and_stays_a_whole_number() -> None:
    class Heavy(lines.Line):
        def __init__(self) -> None:
            super().__init__()
            self.masses, self.count = [1.0, 2.0], 3

        def step(self, action: Any) -> Any:
            assert isinstance(self.count, int)
            return super().step(action)[0], self.masses[1] * self.count, False, False, {}

    env = line(
        1,
        env=Heavy,
        task_attributes=["unwrapped.masses[1]", "count"],
        task_distribution=FiniteTasks([[2.5, 4.0], [1.0, 2.0]]),
    )
    assert env.meta_spec.task_names == ("masses1", "count")
    env.reset(options={"tasks": torch.tensor([[2.5, 4.0]])})
    assert env.step(torch.zeros(1, 1))[1].item() == 10.0


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_the_number_of_processes_changes_nothing(processes: int) -> None:
    alone, spread = line(5, env=lines.EndsAbove, processes=1), line(5, env=lines.EndsAbove, processes=processes)
    for env in (alone, spread):
        env.reset(seed=3)
    for one, other in zip(play(alone, 2), play(spread, 2)):
        assert torch.equal(one, other)
    mask = [True, False, True, False, True]
    assert torch.equal(alone.reset(options={"reset_mask": mask})[0], spread.reset(options={"reset_mask": mask})[0])


def test_episodes_end_where_the_environment_terminates_or_truncates_them_and_at_the_horizon() -> None:
    env = line(3, env=lines.EndsAbove, horizon=9)
    env.reset()
    ended = [env.step(torch.tensor([[1.0], [-1.0], [0.0]]))[2:4] for _ in range(9)]
    terminated, truncated = (torch.stack(flags).any(0).tolist() for flags in zip(*ended))
    assert terminated[:2] == [True, False]
    assert truncated[:2] == [False, True]
    assert terminated[2] or truncated[2]
    assert not env.running.any()


def test_an_episode_is_truncated_at_the_step_that_cuts_it_off_also_after_another_has_ended() -> None:
    env = line(3, env=lines.EndsAbove, horizon=20)
    env.reset()
    for _ in range(7):  # the first one ends
        env.step(torch.tensor([[1.0], [0.0], [0.0]]))
    while env.running[1]:
        observation, _, _, truncated, _ = env.step(torch.tensor([[0.0], [-0.5], [0.0]]))
        assert truncated.tolist() == [False, bool(observation[1] < -2.0), False]
    assert env.running.tolist() == [False, False, True]


def test_the_horizon_is_that_of_a_time_limit_unless_it_is_given() -> None:
    assert line(env=f"{MODULE}.annotated", horizon=None, task_method="set_goal").meta_spec.horizon == 4
    assert line(env=f"{MODULE}.annotated", horizon=3).meta_spec.horizon == 3
    assert line(env="Pendulum-v1", task_attributes=["unwrapped.g"], horizon=7).meta_spec.horizon == 7


def test_choices_reach_the_environment_as_its_own() -> None:
    env = line(3, env=lines.Choosing)
    before, _ = env.reset()
    after, *_ = env.step(torch.tensor([-1, 0, 1]))
    assert (after - before).round().flatten().tolist() == [-1.0, 0.0, 1.0]


def test_recorded_rewards_are_the_same_under_every_task_and_those_of_a_function_are_not() -> None:
    recorded, relabeled = line(), line(**RELABELED)
    other = torch.tensor([[0.5], [-0.5]])
    for env in (recorded, relabeled):
        env.reset(seed=0)
        observation, reward, *_, info = env.step(torch.zeros(3, 1))
        grid = env.reward(info["features"][None], other[:, None])
        expected = -(observation[:, 0] - other).abs() if env is relabeled else reward.expand(2, -1)
        torch.testing.assert_close(grid.reward, expected)
    assert recorded.meta_spec.task_changes is TaskChanges.BOTH
    assert relabeled.meta_spec.task_changes is TaskChanges.REWARD
    assert relabeled.meta_spec.feature_names == ("recorded_reward", "recorded_terminated", "place")


@pytest.mark.parametrize("env_class", [lines.Line, lines.SavesItself])
@pytest.mark.parametrize("processes", [1, 2])
def test_an_episode_goes_on_exactly_where_its_state_was_saved(env_class: Any, processes: int) -> None:
    env, restored = line(env=env_class), line(seed=9, env=env_class, processes=processes)
    env.reset()
    play(env, 2)
    restored.load_state_dict(env.state_dict())
    assert all(torch.equal(one, other) for one, other in zip(play(env, 4), play(restored, 4)))


@pytest.mark.parametrize(("name", "way"), [("Reacher-v5", "unwrapped.model.body_mass[1]"), ("CartPole-v1", "gravity")])
def test_gymnasiums_own_environments_hand_out_their_state(name: str, way: str) -> None:
    make = {"env": name, "task_attributes": [way], "task_distribution": UniformBox([0.1], [0.2]), "horizon": 9}
    env, restored = FromGymnasium(2, **make), FromGymnasium(2, 5, **make)  # type: ignore[arg-type]
    env.reset()
    play(env, 3)
    restored.load_state_dict(env.state_dict())
    assert all(torch.equal(one, other) for one, other in zip(play(env, 4), play(restored, 4)))


@pytest.mark.parametrize(("name", "actions"), [("Ant-v5", 8), ("Humanoid-v5", 17)])
def test_mujoco_goes_on_to_the_last_bit_in_observations_and_rewards(name: str, actions: int) -> None:
    env, restored = (gymnasium.make(name) for _ in range(2))
    for seed, each in enumerate((env, restored)):
        each.reset(seed=seed)
    first, *following = np.random.default_rng(0).uniform(-0.4, 0.4, (8, 3, actions))
    for action in first:
        env.step(action)
    state = save_state(env)
    assert state is not None
    load_state(restored, state)
    for action in np.concatenate(following):
        expected, continued = env.step(action), restored.step(action)
        assert np.array_equal(expected[0], continued[0])
        assert expected[1:4] == continued[1:4]


def test_a_table_that_a_state_shows_is_left_alone() -> None:
    env, table = lines.FromTable(), lines.TABLE.copy()
    env.reset()
    env.step([0.0])
    state = save_state(env)
    assert state is not None
    env.reset()
    env.step([0.0])
    load_state(env, state)
    assert env.numbers.tolist() == [2.0, 3.0]
    assert np.array_equal(lines.TABLE, table)


def test_what_shows_the_simulations_memory_goes_on_to_show_it() -> None:
    env: Any = gymnasium.make("Reacher-v5").unwrapped
    env.tip = env.data.qpos[1:2]
    env.reset(seed=0)
    state = save_state(env)
    assert state is not None
    env.step(np.ones(2))
    load_state(env, state)
    assert np.shares_memory(env.tip, env.data.qpos)


@pytest.mark.parametrize(
    "value",
    [
        lines.Line(),
        lines.Step(None, None, None, 0.0, False, {}),
        OrderedDict(a=1),
        defaultdict(int),
        TaskChanges.BOTH,
        np.ma.array([1.0]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_be_restored_as_something_else_is_not_saved(value: Any) -> None:
    env = lines.Holding(value=value)
    env.reset()
    assert save_state(env) is None


def test_an_array_of_two_names_is_not_saved() -> None:
    env = lines.Aliasing()
    env.reset()
    assert save_state(env) is None


def test_the_environment_of_a_wrapper_is_part_of_the_state_however_often_it_is_named() -> None:
    env: Any = gymnasium.wrappers.TimeLimit(lines.Line(), 4)
    env.inner = env.unwrapped
    env.reset()
    assert save_state(env) is not None


def test_without_a_state_the_run_goes_on_with_the_next_trial_and_says_so() -> None:
    env, restored = line(env=lines.Unsavable), line(seed=9, env=lines.Unsavable)
    env.reset()
    play(env, 2)
    with pytest.warns(UserWarning, match="Unsavable cannot hand out its state, so the 3 episodes .* next trial"):
        restored.load_state_dict(env.state_dict())
    assert not restored.running.any()
    assert torch.equal(env.reset()[0], restored.reset()[0])
    assert all(torch.equal(one, other) for one, other in zip(play(env), play(restored)))


def test_between_episodes_nothing_must_be_saved_and_nothing_is_said(recwarn: pytest.WarningsRecorder) -> None:
    env, restored = line(env=lines.Unsavable), line(seed=9, env=lines.Unsavable)
    env.reset()
    play(env)
    restored.load_state_dict(env.state_dict())
    assert torch.equal(env.reset()[0], restored.reset()[0])
    assert not [warning for warning in recwarn if "state" in str(warning.message)]


def test_processes_end_with_their_environment() -> None:
    env = line(4, processes=2)
    env.reset()
    (process,) = env._simulation._vector.processes
    assert process.is_alive()
    del env
    process.join(timeout=10)
    assert process.exitcode == 0


@pytest.mark.parametrize("end", [MetaEnv.close, list.clear], ids=["closed", "freed"])
def test_sub_environments_are_closed_with_their_environment(end: Any) -> None:
    envs = [line(4, env=lines.Closing, processes=2)]
    envs[0].reset()
    (process,), before = envs[0]._simulation._vector.processes, lines.Closing.closed
    end(envs[0] if end is MetaEnv.close else envs)
    process.join(timeout=10)
    assert process.exitcode == 0
    assert lines.Closing.closed - before == 2  # the two of this process


def test_an_environment_that_never_started_can_be_closed() -> None:
    line().close()


def interrupt(env: FromGymnasium) -> None:
    """Interrupt a step after one of two other processes has answered."""
    _, second = env._simulation._vector.parent_pipes
    second.recv = Mock(side_effect=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        env.step(torch.zeros(3, 1))
    del second.recv


@pytest.mark.timeout(60)
def test_after_an_interrupted_step_a_reset_starts_anew() -> None:
    env, other = line(processes=3), line(processes=3)
    env.reset()
    interrupt(env)
    assert torch.equal(env.reset(seed=1)[0], other.reset(seed=1)[0])
    assert all(torch.equal(one, theirs) for one, theirs in zip(play(env), play(other)))


@pytest.mark.timeout(60)
def test_processes_of_an_interrupted_step_end_with_their_environment() -> None:
    env = line(processes=3)
    env.reset()
    processes = env._simulation._vector.processes
    interrupt(env)
    env.close()
    for process in processes:
        process.join(timeout=10)
        assert process.exitcode is not None


def test_programs_that_an_environment_starts_can_be_stopped_whatever_its_process() -> None:
    assert line(2, env=lines.Starting, processes=2).reset()[0].flatten().tolist() == [1.0, 1.0]


def test_an_observation_may_be_a_view_in_reverse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines.Line, "observe", lambda env: np.array([env.place])[::-1])
    observation, _ = line(2).reset()
    assert bool(torch.isfinite(observation).all())
