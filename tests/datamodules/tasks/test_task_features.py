"""What the predictor sees of a task."""

from __future__ import annotations

import pytest
import torch

from datamodules.tasks import SampledTasks
from datamodules.tasks.task_features import TaskFeatures
from envs.task_distributions import (
    Disk,
    Exponential,
    FiniteTasks,
    GroupedTasks,
    LogUniformBox,
    TaskDistribution,
    UniformBox,
)


def sampled_from(reference: TaskDistribution, n: int) -> SampledTasks:
    return SampledTasks(reference.sample(n, torch.Generator().manual_seed(1)), torch.arange(n))


def test_a_uniform_coordinate_spans_the_unit_interval_whatever_its_units() -> None:
    features = TaskFeatures(UniformBox([0.0, -100.0], [7.0, 300.0]))
    corners = SampledTasks(torch.tensor([[0.0, 300.0], [3.5, 100.0], [7.0, -100.0]]), torch.arange(3))
    expected = torch.tensor([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    assert torch.allclose(features(corners), expected, atol=0.02)


@pytest.mark.parametrize(
    "reference",
    [Exponential(0.1), LogUniformBox([0.5, 0.1], [2.0, 10.0]), Disk(5.0), FiniteTasks([[-1.0, 3.0], [1.0, 3.0]])],
    ids=lambda reference: type(reference).__name__,
)
def test_any_distribution_has_mean_and_standard_deviation_of_a_uniform_one(reference: TaskDistribution) -> None:
    features = TaskFeatures(reference)(sampled_from(reference, 20_000))
    assert bool(features.isfinite().all())
    assert torch.allclose(features.mean(0), torch.tensor(0.5), atol=0.02)
    varies = features.std(0) > 0  # the second coordinate of the finite set is constant
    assert torch.allclose(features.std(0)[varies], torch.tensor(12**-0.5), rtol=0.05)


def test_the_group_of_a_task_is_a_feature_of_its_own_if_there_are_several() -> None:
    tasks = [[0.0, 1.0], [0.0, 2.0], [1.0, 1.0]]
    features = TaskFeatures(GroupedTasks(tasks, [0, 0, 1]))
    seen = features(SampledTasks(torch.tensor(tasks), torch.arange(3)))
    assert features.size == 4
    assert seen[:, 2:].tolist() == [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    assert TaskFeatures(GroupedTasks(tasks, [0, 0, 0])).size == 2


def test_the_spread_is_one_for_tasks_of_the_reference_distribution() -> None:
    reference = LogUniformBox([0.5, 0.1], [2.0, 10.0])
    features = TaskFeatures(reference)
    seen = features(sampled_from(reference, 20_000))
    assert features.spread(seen) == pytest.approx(1.0, abs=0.05)
    assert features.spread(0.25 * seen) == pytest.approx(0.25, abs=0.02)
