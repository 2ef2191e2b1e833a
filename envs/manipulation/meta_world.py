"""Meta-World's meta-learning benchmarks (Yu et al. 2019, McLean et al. 2025)."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from envs.base import EvaluationPurpose, MetaEnv, Reward, batch_shape, box, spread
from envs.errors import arguments_of, require, require_choice, require_positive
from envs.meta_env_spec import MetaEnvSpec, TaskChanges
from envs.task_distributions import DealtTasks, GroupedTasks, TaskDistribution

if TYPE_CHECKING:
    from envs.manipulation.benchmark_tasks import BenchmarkTasks, TaskSet
    from envs.manipulation.hosts import Assignment, Key, SceneHost
    from envs.manipulation.scenes import Scene

OBSERVATION = 39
LONGEST_EPISODE = 500
LONGEST_VARIATION = 6
HAND = 3  # numbers of the hand's position, which come first among the readings
HAND_AND_DIVERGED = [0, 1, 2, 5]
RECORDED = ("reward", "success", "diverged")
REACH = "reach-v3"
REACH_START = torch.tensor([0.0, 0.6, 0.2])  # where Meta-World wants the hand to be at the start, m
REACH_RADIUS = 0.05
REACH_LARGEST = 10.0
LONG_TAIL = 9.0  # 1 / 0.1 − 1: the reward's share falls to 0.1 a margin away from the goal

RewardVersion = Literal["v1", "v2"]
ValidateOn = Literal["train", "test"]
_numbers = itertools.count()


def _spec(
    name: str,
    task_names: Sequence[str],
    feature_names: Sequence[str] = RECORDED,
    task_changes: TaskChanges = TaskChanges.BOTH,
) -> MetaEnvSpec:
    return MetaEnvSpec(
        name=name,
        observation_dim=OBSERVATION,
        action_dim=4,
        task_names=tuple(task_names),
        feature_names=tuple(feature_names),
        horizon=LONGEST_EPISODE,
        task_changes=task_changes,
    )


def _variation_names(size: int) -> list[str]:
    return [f"variation_{number}" for number in range(1, size + 1)]


def _many_scenes(name: str) -> MetaEnvSpec:
    return _spec(name, ["scene", *_variation_names(LONGEST_VARIATION)])


class TrainingTasks(GroupedTasks):
    """A benchmark's training tasks.

    Args:
        tasks: all of them, `[number, task_dim]`.
        groups: the scene of each, `[number]`.
        test: the benchmark's test tasks.
    """

    def __init__(self, tasks: list[list[float]], groups: list[int], test: TaskDistribution) -> None:
        super().__init__(tasks, groups)
        self._test = test

    def objection(self, task: Tensor) -> str:
        if bool(self._test.contains(task[None])):
            return "it is a test task of the benchmark, which training must never see"
        return super().objection(task)


class MetaWorld(MetaEnv):
    """A benchmark of Meta-World: its own scenes, its own training and test tasks, the goal hidden.

    A copy's episode is played by Meta-World's environment of its task's scene, in worker processes. A task is a row
    of the benchmark's tables, so tasks are compared as they are, never computed.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator. Nothing but the choice of tasks is random.
        benchmark: what Meta-World calls it: ML10, ML25, ML45, or the scene of ML1.
        task_seed: seed that its tasks are drawn with.
        tasks: the benchmark's tasks.
        horizon: steps of an episode; None for the benchmark's own.
        reward_version: Meta-World's reward functions.
        validate_on: the tasks of validation.
        processes: that simulate, this one included; None takes one per core.
    """

    single_observation_space = box(-np.inf, np.inf, OBSERVATION)
    single_action_space = box(-1.0, 1.0, 4)
    names_scene: ClassVar[bool] = True

    def __init__(
        self,
        num_envs: int,
        seed: int,
        benchmark: str,
        task_seed: int,
        tasks: BenchmarkTasks,
        horizon: int | None,
        reward_version: RewardVersion,
        validate_on: ValidateOn,
        processes: int | None,
    ) -> None:
        require_choice("reward_version", reward_version, RewardVersion, of=self)
        require_choice("validate_on", validate_on, ValidateOn, of=self)
        if processes is not None:
            require_positive("processes", processes, of=self)
        self._name, self._task_seed = benchmark, task_seed
        self._benchmark = tasks
        self._reward_version = reward_version
        self._validate_on = validate_on
        self._processes = processes
        groups, test_groups = tasks.train.scenes.tolist(), tasks.test.scenes.tolist()
        self._test_tasks = DealtTasks(self._rows(tasks.test), test_groups)
        self._training_tasks = TrainingTasks(self._rows(tasks.train), groups, self._test_tasks)
        self.task_distribution = self._training_tasks
        super().__init__(num_envs, seed, horizon)
        require(
            self.meta_spec.horizon <= LONGEST_EPISODE,
            "horizon",
            horizon,
            f"it must be at most {LONGEST_EPISODE}",
            "Leave it out for the benchmark's own.",
            of=self,
        )
        self._key_of_environment = next(_numbers)
        self._observations = torch.zeros(num_envs, OBSERVATION)
        self._rendered: Scene | None = None  # the scene that pictures are drawn of
        self._playing = torch.full((num_envs,), -1)  # numbers of the tasks that the scenes were started with

    def _rows(self, tasks: TaskSet) -> list[list[float]]:
        """Tasks as vectors of this environment."""
        if not self.names_scene:
            return [list(variation) for variation in tasks.variations.tolist()]
        padding = [0.0] * (LONGEST_VARIATION - tasks.variations.shape[1])
        return [[float(scene), *row, *padding] for scene, row in zip(tasks.scenes.tolist(), tasks.variations.tolist())]

    @cached_property
    def _host(self) -> SceneHost:
        from envs.manipulation.hosts import host_for  # imports Meta-World: only for those who use it

        host = host_for(self.num_envs, self._processes)
        weakref.finalize(self, host.release, self._keys(range(self.num_envs)))
        return host

    @cached_property
    def _number_of(self) -> dict[tuple[float, ...], int]:
        """Numbers of the tasks, those of training first."""
        every = torch.cat((self._training_tasks.tasks, self._test_tasks.tasks))
        return {tuple(task): number for number, task in enumerate(every.tolist())}

    def _keys(self, env_ids: Sequence[int]) -> list[Key]:
        return [(self._key_of_environment, env_id) for env_id in env_ids]

    def _assignments(self, env_ids: Sequence[int]) -> list[Assignment]:
        """What the scenes of the sub-environments `env_ids` are to play."""
        from envs.manipulation.hosts import Assignment

        tasks, assignments = self._benchmark, []
        for number in self._playing[list(env_ids)].tolist():
            split = tasks.train if number < len(tasks.train.scenes) else tasks.test
            row = number if split is tasks.train else number - len(tasks.train.scenes)
            scene = int(split.scenes[row])
            variation = split.variations[row, : tasks.sizes[scene]]
            assignments.append(Assignment(tasks.scenes[scene], self._reward_version, variation))
        return assignments

    def _start(self, env_ids: Tensor) -> None:
        rows = env_ids.tolist()
        self._playing[env_ids] = torch.tensor([self._number_of[tuple(task)] for task in self.tasks[env_ids].tolist()])
        self._see(env_ids, self._host.start(self._keys(rows), self._assignments(rows)))

    def _simulate(self, actions: Tensor, env_ids: Tensor) -> Tensor:
        rows = self._host.step(self._keys(env_ids.tolist()), actions.numpy())
        self._see(env_ids, rows[:, :OBSERVATION])
        self.diverged += int(rows[:, -1].sum())
        return torch.from_numpy(self._features(rows[:, OBSERVATION:]).astype(np.float32))

    def _see(self, env_ids: Tensor, observations: NDArray[np.float64]) -> None:
        """Take new observations of the sub-environments `env_ids`, in a new tensor: the old one has been handed out."""
        seen = torch.from_numpy(observations.astype(np.float32))
        everyone = len(env_ids) == self.num_envs
        self._observations = seen if everyone else self._observations.index_copy(0, env_ids, seen)

    def _features(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        """The features among the `readings` `[n, readings]`, `[n, features]`."""
        return readings[:, HAND:]

    def _observe(self) -> Tensor:
        return self._observations

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        reward, _, diverged = features.unbind(-1)
        shape = batch_shape(features, tasks)
        reward = spread(reward, shape)
        return Reward(reward, reward, spread(diverged > 0, shape))

    def success(self, features: Tensor, tasks: Tensor) -> Tensor | None:
        success = features[..., 1] > 0
        return spread(success, batch_shape(features, tasks))

    def evaluation_tasks(self, purpose: EvaluationPurpose) -> TaskDistribution:
        """Test tasks for the test, and for validation where the environment was asked to."""
        return self._test_tasks if purpose == "test" or self._validate_on == "test" else self.task_distribution

    @property
    def versions(self) -> dict[str, str]:
        return {"metaworld": version("metaworld"), "reward": self._reward_version}

    @property
    def test_scenes(self) -> tuple[str, ...]:
        """Scenes of the test tasks."""
        return tuple(self._benchmark.scenes[scene] for scene in np.unique(self._benchmark.test.scenes))

    def own_test_environments(self, num_envs: int, tasks_per_scene: int) -> Any:
        """Meta-World's own vector of environments on this benchmark's test tasks, for its own evaluation.

        Args:
            num_envs: environments, a multiple of the number of test scenes.
            tasks_per_scene: test tasks used of every scene.
        """
        from envs.manipulation.benchmark_tasks import own_test_environments

        return own_test_environments(
            self._name,
            self._task_seed,
            num_envs,
            tasks_per_scene,
            max_episode_steps=self.meta_spec.horizon,
            reward_function_version=self._reward_version,
        )

    def render_frame(self, env_id: int) -> NDArray[np.uint8]:
        from envs.locomotion.pictures import render_state
        from envs.manipulation.scenes import Scene

        if self._playing[env_id] < 0:
            raise RuntimeError(f"{self.meta_spec.name}: sub-environment {env_id} has no picture yet; reset it first.")
        (assignment,) = self._assignments([env_id])
        kind = assignment.scene, assignment.reward_version
        if self._rendered is None or self._rendered.kind != kind:
            self._rendered = Scene(*kind)
        self._rendered.restore(assignment.variation, self._host.save(self._keys([env_id]))[0])
        return render_state(self._rendered.model, self._rendered.positions)

    def _simulation_state(self) -> dict[str, Tensor]:
        env_ids = (self._playing >= 0).nonzero()[:, 0].tolist()
        saved = self._host.save(self._keys(env_ids)) if env_ids else []
        scenes = np.zeros((self.num_envs, max(map(len, saved), default=0)))
        for env_id, state in zip(env_ids, saved):
            scenes[env_id, : len(state)] = state
        return {"scenes": torch.from_numpy(scenes), "playing": self._playing, "observations": self._observations}

    def _load_simulation_state(self, state: dict[str, Tensor]) -> None:
        self._playing, self._observations = state["playing"], state["observations"]
        env_ids = (self._playing >= 0).nonzero()[:, 0].tolist()
        if env_ids:
            saved = [state["scenes"][env_id].numpy() for env_id in env_ids]
            self._host.restore(self._keys(env_ids), self._assignments(env_ids), saved)


class ML1(MetaWorld):
    """Meta-World ML1: one kind of task, 50 goals to train on and 50 others to test (Yu et al. 2019).

    | | meaning | range |
    |---|---|---|
    | observation | hand (m), gripper opening, poses of up to two objects (m, quaternion); the same a step | unbounded |
    | | before; three zeros, where the goal is hidden | |
    | action | hand's movement along x, y, z in centimetres, force of the gripper | [-1, 1] |
    | task | the benchmark's random vector: starts of objects and goal (m), as the scene defines it | 50 and 50 |
    | features | reach-v3: the point between the fingers (m); others: reward, success; then whether it diverged | |

    Reward: Meta-World's own (`reward_version` v2: 0 to 10 a step). For reach-v3 it is computed from the features, so
    trajectories can be relabeled: ten times the benchmark's tolerance of the distance from hand to goal. The tasks of
    other scenes count as changing the dynamics too, and their reward is what Meta-World said. Success: Meta-World's.
    Start: the same in every episode of a task. End: after `horizon` steps of 12.5 ms, or where the simulation breaks
    down.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        task: one of Meta-World's 50 scenes.
        horizon: steps of an episode; None for the benchmark's own, 500.
        reward_version: v2, Meta-World's default, or v1.
        validate_on: train or test, the tasks of validation; a checkpoint chosen on test tasks has seen them.
        task_seed: seed that Meta-World draws its training tasks with; test tasks have the next one.
        processes: that simulate, this one included; left out, one per core.
    """

    names_scene = False
    meta_spec = _spec(
        "ML1", _variation_names(LONGEST_VARIATION), ("hand_x", "hand_y", "hand_z", "diverged"), TaskChanges.REWARD
    )

    def __init__(
        self,
        num_envs: int,
        seed: int = 0,
        task: str = REACH,
        horizon: int | None = None,
        reward_version: RewardVersion = "v2",
        validate_on: ValidateOn = "train",
        task_seed: int = 42,
        processes: int | None = None,
    ) -> None:
        from envs.manipulation.benchmark_tasks import tasks_of_scene

        with arguments_of(self):
            tasks = tasks_of_scene(task, task_seed)
        self._reaches = task == REACH and reward_version == "v2"
        names = _variation_names(tasks.sizes[0])
        self.meta_spec = replace(self.meta_spec, name=f"ML1-{task}") if self._reaches else _spec(f"ML1-{task}", names)
        super().__init__(num_envs, seed, task, task_seed, tasks, horizon, reward_version, validate_on, processes)

    def _features(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        return readings[:, HAND_AND_DIVERGED] if self._reaches else super()._features(readings)

    def _distance(self, features: Tensor, tasks: Tensor) -> Tensor:
        """From hand to goal, m."""
        distance: Tensor = torch.linalg.vector_norm(features[..., :HAND] - tasks[..., -HAND:], dim=-1)
        return distance

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        if not self._reaches:
            return super().reward(features, tasks)
        beyond = (self._distance(features, tasks) - REACH_RADIUS).clamp(min=0.0)
        margin: Tensor = torch.linalg.vector_norm(tasks[..., -HAND:] - REACH_START.to(tasks), dim=-1)
        reward = REACH_LARGEST / (1.0 + LONG_TAIL * (beyond / margin).square())
        return Reward(reward, reward, spread(features[..., -1] > 0, reward.shape))

    def success(self, features: Tensor, tasks: Tensor) -> Tensor | None:
        if not self._reaches:
            return super().success(features, tasks)
        return self._distance(features, tasks) <= REACH_RADIUS


class ManyScenes(MetaWorld):
    """A benchmark of several scenes, whose sub-environments may run different ones."""

    benchmark: ClassVar[str]
    """What Meta-World calls it."""

    def __init__(
        self,
        num_envs: int,
        seed: int = 0,
        horizon: int | None = None,
        reward_version: RewardVersion = "v2",
        validate_on: ValidateOn = "train",
        task_seed: int = 42,
        processes: int | None = None,
    ) -> None:
        from envs.manipulation.benchmark_tasks import tasks_of_benchmark

        with arguments_of(self):
            tasks = tasks_of_benchmark(self.benchmark, task_seed)
        super().__init__(
            num_envs, seed, self.benchmark, task_seed, tasks, horizon, reward_version, validate_on, processes
        )


class ML10(ManyScenes):
    """Meta-World ML10: 10 scenes to train on, five others to test, 50 tasks of each (Yu et al. 2019).

    | | meaning | range |
    |---|---|---|
    | observation | hand (m), gripper opening, poses of up to two objects (m, quaternion); the same a step | unbounded |
    | | before; three zeros, where the goal is hidden | |
    | action | hand's movement along x, y, z in centimetres, force of the gripper | [-1, 1] |
    | task | number of the scene, and the benchmark's random vector: starts of objects and goal (m), | 10 · 50 |
    | | zeros behind a shorter one | |
    | features | reward and success, as Meta-World said; whether the simulation diverged | |

    Reward, success, start and end: as ML1, the reward always as Meta-World said.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        horizon: steps of an episode; None for the benchmark's own, 500.
        reward_version: v2, Meta-World's default, or v1.
        validate_on: train or test, the tasks of validation; a checkpoint chosen on test tasks has seen them.
        task_seed: seed that Meta-World draws its tasks with.
        processes: that simulate, this one included; left out, one per core.
    """

    benchmark = "ML10"
    meta_spec = _many_scenes(benchmark)


class ML25(ManyScenes):
    """Meta-World ML25: 25 scenes to train on, five others to test, 50 tasks of each (Yu et al. 2019).

    | | meaning | range |
    |---|---|---|
    | observation | hand (m), gripper opening, poses of up to two objects (m, quaternion); the same a step | unbounded |
    | | before; three zeros, where the goal is hidden | |
    | action | hand's movement along x, y, z in centimetres, force of the gripper | [-1, 1] |
    | task | number of the scene, and the benchmark's random vector: starts of objects and goal (m), | 25 · 50 |
    | | zeros behind a shorter one | |
    | features | reward and success, as Meta-World said; whether the simulation diverged | |

    Reward, success, start and end: as ML1, the reward always as Meta-World said. One of the five test scenes,
    basketball-v3, is also trained on, with other goals: so Meta-World 3.1.1 defines it.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        horizon: steps of an episode; None for the benchmark's own, 500.
        reward_version: v2, Meta-World's default, or v1.
        validate_on: train or test, the tasks of validation; a checkpoint chosen on test tasks has seen them.
        task_seed: seed that Meta-World draws its tasks with.
        processes: that simulate, this one included; left out, one per core.
    """

    benchmark = "ML25"
    meta_spec = _many_scenes(benchmark)


class ML45(ManyScenes):
    """Meta-World ML45: 45 scenes to train on, five others to test, 50 tasks of each (Yu et al. 2019).

    | | meaning | range |
    |---|---|---|
    | observation | hand (m), gripper opening, poses of up to two objects (m, quaternion); the same a step | unbounded |
    | | before; three zeros, where the goal is hidden | |
    | action | hand's movement along x, y, z in centimetres, force of the gripper | [-1, 1] |
    | task | number of the scene, and the benchmark's random vector: starts of objects and goal (m), | 45 · 50 |
    | | zeros behind a shorter one | |
    | features | reward and success, as Meta-World said; whether the simulation diverged | |

    Reward, success, start and end: as ML1, the reward always as Meta-World said.

    Args:
        num_envs: number of sub-environments.
        seed: seed of the environment's own random generator.
        horizon: steps of an episode; None for the benchmark's own, 500.
        reward_version: v2, Meta-World's default, or v1.
        validate_on: train or test, the tasks of validation; a checkpoint chosen on test tasks has seen them.
        task_seed: seed that Meta-World draws its tasks with.
        processes: that simulate, this one included; left out, one per core.
    """

    benchmark = "ML45"
    meta_spec = _many_scenes(benchmark)
