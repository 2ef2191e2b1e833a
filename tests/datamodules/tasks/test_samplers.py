"""Samplers that do not learn."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from datamodules.tasks import CEMTaskSampler, FixedTaskSampler, TaskSampler, UniformTaskSampler
from envs import ConfigurationError, FourCorners, PointRobot
from envs.task_distributions import FiniteTasks


def bound(sampler: TaskSampler, seed: int = 0, rank: int = 0) -> TaskSampler:
    sampler.bind(PointRobot.meta_spec, PointRobot.task_distribution, seed, rank)
    return sampler


@pytest.mark.parametrize("method", ["sample", "initial"])
def test_uniform_tasks_follow_the_reference_distribution(method: str) -> None:
    tasks = getattr(bound(UniformTaskSampler()), method)(3000).tasks
    assert tasks.shape == (3000, 2)
    for coordinate in tasks.unbind(-1):
        assert stats.kstest(coordinate.numpy(), stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_uniform_tasks_are_new_every_time() -> None:
    sampler = bound(UniformTaskSampler())
    first, second = sampler.sample(5), sampler.sample(5)
    assert not torch.equal(first.tasks, second.tasks)
    assert len(torch.cat((first.ids, second.ids)).unique()) == 10


@pytest.mark.parametrize("make", [UniformTaskSampler, FixedTaskSampler])
def test_streams_differ_by_seed_and_rank_and_leave_the_global_generator_alone(make: type[TaskSampler]) -> None:
    before = torch.get_rng_state()
    draws = []
    for seed, rank in ((0, 0), (0, 1), (1, 0), (0, 0)):
        sampler = bound(make(), seed, rank)
        draws.append(torch.cat((sampler.initial(3).tasks, sampler.sample(6).tasks)))
    assert torch.equal(draws[0], draws[3])
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("make", [UniformTaskSampler, FixedTaskSampler])
def test_a_resumed_sampler_draws_the_same_tasks(make: type[TaskSampler]) -> None:
    sampler, resumed = bound(make(), seed=0), bound(make(), seed=1)
    sampler.initial(5)
    resumed.initial(5)
    sampler.sample(3)
    resumed.load_state_dict(sampler.state_dict())
    expected, actual = sampler.sample(20), resumed.sample(20)
    assert torch.equal(expected.tasks, actual.tasks)
    assert torch.equal(expected.ids, actual.ids)


def test_scores_do_not_change_what_is_drawn_uniformly() -> None:
    sampler, other = bound(UniformTaskSampler()), bound(UniformTaskSampler())
    sampled, _ = (one.sample(4) for one in (sampler, other))
    sampler.update(sampled, torch.arange(4.0))
    assert torch.equal(sampler.sample(4).tasks, other.sample(4).tasks)


# Environments of few tasks


@pytest.mark.parametrize("sampler", [UniformTaskSampler(), FixedTaskSampler(), CEMTaskSampler()])
def test_an_environment_of_few_tasks_gives_each_a_slot_and_no_new_ones(sampler: TaskSampler) -> None:
    sampler.bind(FourCorners.meta_spec, FourCorners.task_distribution, 0, 0)
    initial = sampler.initial(100)
    assert torch.equal(initial.tasks, FourCorners.task_distribution.tasks)
    assert not sampler.samples_new_tasks
    sampled = sampler.sample(50)
    assert torch.equal(sampled.tasks, initial.tasks[sampled.ids])


@pytest.mark.parametrize("sampler", [UniformTaskSampler(), CEMTaskSampler()])
def test_an_environment_of_more_tasks_than_slots_gives_new_ones(sampler: TaskSampler) -> None:
    sampler.bind(FourCorners.meta_spec, FourCorners.task_distribution, 0, 0)
    initial = sampler.initial(3)
    assert initial.tasks.shape == (3, 2)
    assert torch.equal(initial.tasks, FourCorners.task_distribution.tasks[initial.ids])
    assert sampler.samples_new_tasks


# Fixed sets

CORNERS = [[0.5, 0.5], [-0.5, 0.5], [0.25, -1.0]]


@pytest.mark.parametrize("sampler", [UniformTaskSampler(), FixedTaskSampler()])
def test_no_task_of_a_finite_set_has_two_slots(sampler: TaskSampler) -> None:
    tasks = FiniteTasks([[float(number), 0.0] for number in range(50)])
    sampler.bind(FourCorners.meta_spec, tasks, seed=0, rank=0)
    initial = sampler.initial(40)
    assert len(initial.ids.unique()) == 40
    assert torch.equal(tasks.tasks[initial.ids], initial.tasks)


def test_a_given_set_fills_the_slots_in_order_and_nothing_else_is_ever_drawn() -> None:
    sampler = bound(FixedTaskSampler(CORNERS))
    initial, sampled = sampler.initial(3), sampler.sample(3000)
    assert initial.tasks.tolist() == CORNERS
    drawn = [CORNERS.index(task) for task in sampled.tasks.tolist()]
    assert drawn == sampled.ids.tolist()
    assert stats.chisquare([drawn.count(i) for i in range(3)]).pvalue > 1e-3


def test_a_drawn_set_follows_the_reference_distribution_and_never_changes() -> None:
    sampler = bound(FixedTaskSampler())
    initial = sampler.initial(2000).tasks
    assert initial.shape == (2000, 2)
    for coordinate in initial.unbind(-1):
        assert stats.kstest(coordinate.numpy(), stats.uniform(-1, 2).cdf).pvalue > 1e-3
    known = {tuple(task) for task in initial.tolist()}
    for _ in range(3):
        assert {tuple(task) for task in sampler.sample(100).tasks.tolist()} <= known


def test_whole_numbers_are_as_good_as_decimals() -> None:
    sampler = FixedTaskSampler([[1, 1], [-1, 1]])
    sampler.bind(FourCorners.meta_spec, FourCorners.task_distribution, 0, 0)
    assert sampler.initial(2).tasks.dtype == torch.float32
    assert sampler.sample(3).tasks.dtype == torch.float32


def test_an_empty_set_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"FixedTaskSampler: tasks = \[\]"):
        FixedTaskSampler([])


def test_a_task_that_is_listed_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"\[0\.5, 0\.5\] .* listed more than once"):
        bound(FixedTaskSampler([*CORNERS, [0.5, 0.5]]))


@pytest.mark.parametrize(
    "tasks",
    [[[0.1]], [[0.1, 0.2, 0.3]], [[0.1, 1.5]], [[0.1, float("nan")]], [0.1, 0.2], [[0.1, 0.2], [0.3]]],
    ids=[
        "too few numbers",
        "too many numbers",
        "outside the environment",
        "not a number",
        "not a list of tasks",
        "ragged",
    ],
)
def test_tasks_that_are_not_the_environments_are_refused_by_name(tasks: list[list[float]]) -> None:
    with pytest.raises(ConfigurationError, match="FixedTaskSampler: tasks = "):
        bound(FixedTaskSampler(tasks))


def test_a_given_set_must_have_one_task_a_slot() -> None:
    with pytest.raises(ConfigurationError, match=r"task_slots = 5 .* set of 3 tasks"):
        bound(FixedTaskSampler(CORNERS)).initial(5)
