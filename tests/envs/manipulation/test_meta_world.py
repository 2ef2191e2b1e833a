"""Meta-World's benchmarks: their own tasks, their own steps, exact state."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import gymnasium
import metaworld
import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules import RolloutDataModule
from datamodules.relabeling import HFRRelabeler, NoRelabeler
from datamodules.tasks import FixedTaskSampler, UniformTaskSampler
from envs import ML1, ML10, ML25, ML45, ConfigurationError, MetaEnv
from envs.errors import SimulationError
from envs.manipulation.benchmark_tasks import tasks_of_benchmark
from envs.manipulation.hosts import Assignment, LocalHost, ProcessHost, host_for
from envs.manipulation.meta_world import MetaWorld

Actions = Callable[[MetaEnv, torch.Generator], Tensor]
REACH = Assignment("reach-v3", "v2", np.array([0.0, 0.6, 0.02, 0.1, 0.8, 0.2]))
MIXED = ("reach-v3", "basketball-v3", "window-open-v3")  # a push, a grasp with memory, a slide; two lengths of vectors


def task_on(env: MetaWorld, scene: str, number: int = 0) -> Tensor:
    """A training task of `environment` on a scene."""
    tasks: Any = env.task_distribution
    return tasks.tasks[tasks.groups == env._benchmark.scenes.index(scene)][number]


def mixed_env(processes: int) -> ML10:
    """EnvIds with different scenes, which have played other tasks of them before."""
    env = ML10(3, processes=processes)
    for number in (1, 0):
        env.set_tasks(torch.stack([task_on(env, scene, number) for scene in MIXED]))
        env.reset()
        env.step(torch.ones(3, 4))
    return env


def own_environment(env: MetaWorld, env_id: int) -> Any:
    """Meta-World's environment of a copy's scene on its task, as the benchmark's user makes it."""
    (assignment,) = env._assignments([env_id])
    environment = metaworld.ALL_V3_ENVIRONMENTS[assignment.scene]()
    data = {"rand_vec": assignment.variation, "env_cls": type(environment), "partially_observable": True}
    environment.set_task(metaworld.Task(assignment.scene, pickle.dumps(data)))
    return environment


def test_the_tasks_of_ml1_are_those_that_meta_world_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    env = ML1(1)
    monkeypatch.setattr(metaworld, "_N_GOALS", 4)  # of 50
    own = metaworld.ML1("reach-v3", seed=42)
    for ours, theirs in (
        (env.task_distribution.tasks, own.train_tasks),
        (env.evaluation_tasks("test").tasks, own.test_tasks),
    ):
        drawn = np.array([pickle.loads(task.data)["rand_vec"] for task in theirs])
        assert torch.equal(ours[:4], torch.from_numpy(drawn).float())


def test_the_stored_tables_begin_like_a_fresh_draw() -> None:
    fresh = ML1(1).task_distribution.tasks.double().numpy()  # ML10 and ML25 draw reach-v3 first, from the same stream
    for name in ("ML10", "ML25"):
        assert np.allclose(tasks_of_benchmark(name, 42).train.variations[:50], fresh, atol=1e-7)


@pytest.mark.parametrize(("benchmark", "training_scenes"), [(ML10, 10), (ML25, 25), (ML45, 45)])
def test_no_test_task_is_a_training_task_and_every_scene_has_fifty(
    benchmark: type[MetaWorld], training_scenes: int
) -> None:
    env = benchmark(1)
    train, test = env._benchmark.train, env._benchmark.test
    assert np.bincount(train.scenes).tolist() == [50] * training_scenes
    assert sorted(np.unique(test.scenes, return_counts=True)[1]) == [50] * 5
    shared = set(map(tuple, env.task_distribution.tasks.tolist())) & set(map(tuple, env._test_tasks.tasks.tolist()))
    assert not shared
    both = {env._benchmark.scenes[scene] for scene in set(train.scenes) & set(test.scenes)}
    assert both == ({"basketball-v3"} if benchmark is ML25 else set())  # as Meta-World 3.1.1 has it


def test_gymnasium_passes_the_name_of_ml1s_scene_on_and_draws_its_task() -> None:
    environment = gymnasium.make("lit_metarl/ML1-v0", task="push-v3", processes=1)
    _, info = environment.reset(seed=1)
    env = ML1(1, task="push-v3")
    assert bool(env.task_distribution.contains(torch.from_numpy(info["task"])[None]).all())
    with pytest.raises(ConfigurationError, match="push-v2.*push-v3"):
        gymnasium.make("lit_metarl/ML1-v0", task="push-v2")


def test_train_and_test_goals_of_ml1_differ() -> None:
    env = ML1(1)
    assert not bool(env.task_distribution.contains(env._test_tasks.tasks).any())
    assert len(env._number_of) == 100


def test_an_episode_is_that_of_meta_worlds_own_environments(random_actions: Actions) -> None:
    env, generator = mixed_env(processes=2), torch.Generator().manual_seed(0)
    observation, _ = env.reset()
    own = [own_environment(env, env_id) for env_id in range(3)]
    starts = [environment.reset()[0] for environment in own]
    assert torch.equal(observation, torch.from_numpy(np.array(starts)).float())
    for _ in range(25):
        actions = random_actions(env, generator)
        observation, reward, _, _, info = env.step(actions)
        results = [environment.step(action) for environment, action in zip(own, actions.numpy())]
        assert torch.equal(observation, torch.tensor(np.array([result[0] for result in results])).float())
        assert reward.tolist() == [np.float32(result[1]) for result in results]
        assert info["success"].tolist() == [bool(result[4]["success"]) for result in results]
        assert (observation[:, -3:] == 0).all()  # the goal is hidden


def test_the_state_of_several_scenes_continues_bit_identically_elsewhere(random_actions: Actions) -> None:
    env = mixed_env(processes=2)
    env.reset()
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        env.step(random_actions(env, generator))
    state = env.state_dict()
    restored = ML10(3, seed=8, processes=1)
    restored.load_state_dict(state)
    for _ in range(40):
        actions = random_actions(env, generator)
        expected, continued = env.step(actions), restored.step(actions)
        assert torch.equal(expected[0], continued[0])
        assert torch.equal(expected[4]["features"], continued[4]["features"])
    again = restored.state_dict()
    for key, value in env.state_dict().items():
        if key != "generator":
            assert np.array_equal(value.numpy(), again[key].numpy(), equal_nan=True), key  # NaN stands for None


def test_rewards_of_reach_under_other_goals_are_those_of_meta_world(random_actions: Actions) -> None:
    env = ML1(1, processes=1)
    env.reset()
    features = env.step(random_actions(env, torch.Generator().manual_seed(0)))[4]["features"]
    tasks = torch.cat((env.task_distribution.tasks[:4], features[:, :3].repeat(1, 2) + 0.01))
    rewards = env.reward(features, tasks).reward
    environment: Any = env._host._scenes[env._keys([0])[0]]._environment
    for task, reward in zip(tasks.numpy().astype(np.float64), rewards):
        environment._target_pos = task[3:]
        expected, distance, _ = environment.compute_reward(np.zeros(4), np.zeros(39))
        assert float(reward) == pytest.approx(expected, rel=1e-5)
        assert bool(env.success(features, torch.from_numpy(task).float())[0]) == (distance <= 0.05)


def test_tasks_of_reach_leave_the_movement_of_the_hand_alone(random_actions: Actions) -> None:
    env, generator = ML1(2, processes=1), torch.Generator().manual_seed(0)
    env.reset()
    for _ in range(10):
        *_, info = env.step(random_actions(env, generator)[:1].expand(2, -1))
    assert not torch.equal(env.tasks[0], env.tasks[1])
    assert torch.equal(*info["features"])


def test_a_simulation_that_breaks_down_ends_the_episode_and_is_counted() -> None:
    env = ML1(1, processes=1)
    env.reset()
    scene: Any = env._host._scenes[env._keys([0])[0]]
    scene._environment.data.qvel[:] = 1e12
    _, _, terminated, *_ = env.step(torch.zeros(1, 4))
    assert terminated.tolist() == [True]
    assert env.diverged == 1


def test_test_tasks_come_from_the_test_set_and_validation_tasks_do_not_unless_asked() -> None:
    held_out = ML10(1).evaluation_tasks("test")
    drawn = held_out.sample(20, torch.Generator().manual_seed(0))
    assert sorted(drawn[:, 0].tolist()) == sorted([10.0, 11.0, 12.0, 13.0, 14.0] * 4)  # the scenes take turns
    assert ML10(1).evaluation_tasks("validation") is not held_out
    assert bool(ML10(1).evaluation_tasks("validation").contains(ML10(1).task_distribution.tasks).all())
    assert bool(ML10(1, validate_on="test").evaluation_tasks("validation").contains(drawn).all())


def test_a_test_task_asked_for_in_training_is_refused() -> None:
    env = ML10(1)
    task = env.evaluation_tasks("test").sample(1, torch.Generator().manual_seed(0))
    env.set_tasks(task)  # evaluation may
    sampler = FixedTaskSampler(task.tolist())
    with pytest.raises(ConfigurationError, match="it is a test task of the benchmark, which training must never see"):
        sampler.bind(env.meta_spec, env.task_distribution, 0, 0)


@pytest.mark.parametrize(
    ("name", "near"), [("reach", "reach-v3"), ("pick-place", "pick-place-v3"), ("drawer_open", "drawer-open-v3")]
)
def test_an_unknown_task_is_refused_with_the_nearest_names(name: str, near: str) -> None:
    with pytest.raises(ConfigurationError, match=f"ML1: task = '{name}'.*Near are: .*{near}"):
        ML1(1, task=name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"horizon": 501},
        {"horizon": 0},
        {"horizon": 50.5},
        {"processes": 0},
        {"task_seed": -1},
        {"validate_on": "val"},
        {"reward_version": "v3"},
    ],
)
def test_impossible_arguments_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f": {next(iter(wrong))} = "):
        ML10(1, **wrong)


def test_without_a_horizon_an_episode_has_the_benchmarks_own() -> None:
    assert ML10(1, horizon=None).meta_spec.horizon == 500


def test_a_subclass_has_the_tasks_of_its_benchmark() -> None:
    class Mine(ML10):
        pass

    assert torch.equal(Mine(1).task_distribution.tasks, ML10(1).task_distribution.tasks)


def test_nothing_is_started_where_the_mask_names_nobody() -> None:
    env = ML1(2)
    env.reset(options={"reset_mask": [False, False]})
    assert not env.running.any()


def test_relabeling_is_refused_where_the_reward_is_what_meta_world_said() -> None:
    with pytest.raises(ConfigurationError, match="those of ML10 change the reward and dynamics"):
        RolloutDataModule(ML10, UniformTaskSampler(), HFRRelabeler())
    RolloutDataModule(partial(ML1, task="reach-v3"), UniformTaskSampler(), HFRRelabeler())


def test_versions_are_told_and_a_checkpoint_asks_for_the_same() -> None:
    assert ML10(1, reward_version="v1").versions == {"metaworld": version("metaworld"), "reward": "v1"}
    data = RolloutDataModule(partial(ML10, reward_version="v1"), UniformTaskSampler(), NoRelabeler())
    assert data._identity()["env (reward)"] == "v1"


def test_a_picture_shows_the_table() -> None:
    env = ML1(1, processes=1)
    env.reset()
    try:
        picture = env.render_frame(0)
    except RuntimeError as error:
        pytest.skip(str(error))
    assert picture.std() > 5


def test_there_is_no_picture_before_the_first_reset() -> None:
    with pytest.raises(RuntimeError, match=r"ML1-reach-v3: sub-environment 0 has no picture yet; reset it first\."):
        ML1(1).render_frame(0)


def test_a_scene_that_is_no_longer_needed_plays_for_another_environment() -> None:
    host = LocalHost()
    host.start([(0, 0)], [REACH])
    scene = host._scenes[0, 0]
    host.release([(0, 0)])
    host.start([(1, 0)], [REACH])
    assert host._scenes == {(1, 0): scene}


@pytest.mark.timeout(60)
def test_an_environment_that_is_freed_during_a_request_of_another_one_takes_no_answer() -> None:
    host, keys = ProcessHost(2), [(0, 0), (0, 1)]
    host.start([(9, 0), *keys], [REACH] * 3)
    save = host._mine.save

    def save_while_garbage_is_collected(mine: Any) -> Any:
        host.release([(9, 0)])
        return save(mine)

    host._mine.save = save_while_garbage_is_collected  # type: ignore[method-assign]
    assert len(host.save(keys)) == 2
    host.start(keys, [REACH] * 2)
    with pytest.raises(SimulationError, match=r"KeyError: \(9, 0\)"):
        host.save([(9, 0)])
    host.close()


def test_what_fails_in_a_process_is_told_and_the_next_request_works() -> None:
    host, key = ProcessHost(2), (0, 0)
    message = r"^A Meta-World process failed: step raises KeyError: \(0, 0\) \(hosts.py, line \d+\)\.$"
    with pytest.raises(SimulationError, match=message):
        host.step([key], np.zeros((1, 4), np.float32))
    assert host.save([]) == []
    host.close()
    host._workers[0].join(5)
    assert host._workers[0].exitcode == 0  # it ends when nobody is left to ask it


@pytest.mark.parametrize("long_ago", [False, True])
def test_a_process_that_died_is_told(long_ago: bool) -> None:
    host = ProcessHost(2)
    host._workers[0].kill()
    if long_ago:
        host._workers[0].join()
    with pytest.raises(SimulationError, match=r"A Meta-World process has died \(exit code -9\)"):
        host.start([(0, 0)], [REACH])
    host.close()


def test_an_environment_is_not_simulated_where_a_process_has_died() -> None:
    host: Any = host_for(2, 2)
    assert host_for(2, 2) is host
    host._workers[0].kill()
    host._workers[0].join()
    assert host_for(2, 2).start([(-1, 0)], [REACH]).shape == (1, 39)
