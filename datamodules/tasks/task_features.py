"""What a network sees of a task."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from datamodules.tasks.samplers import SampledTasks
from envs.task_distributions import GroupedTasks, TaskDistribution

REFERENCE_TASKS = 4096
UNIFORM_WIDTH = math.sqrt(12.0)  # of a uniform distribution whose standard deviation is 1


class TaskFeatures:
    """Task coordinates on a common scale, and the group of a task of a benchmark with several.

    A coordinate is shifted and scaled so that under the reference distribution it has mean and standard deviation of
    the uniform distribution on [0, 1]. MPTS's and PDTS's published tasks lie in that interval.

    Args:
        reference: the reference distribution of tasks.

    Attributes:
        size: number of features.
    """

    def __init__(self, reference: TaskDistribution) -> None:
        tasks = reference.sample(REFERENCE_TASKS, torch.Generator().manual_seed(0))
        std = tasks.std(0)
        self._mean, self._width = tasks.mean(0), UNIFORM_WIDTH * torch.where(std > 0, std, 1.0)
        self._groups = None
        if isinstance(reference, GroupedTasks) and len(reference.groups.unique()) > 1:
            self._groups = one_hot(reference.groups).float()
        self._task_dim = reference.task_dim
        self.size = reference.task_dim + (0 if self._groups is None else self._groups.shape[-1])

    def __call__(self, sampled: SampledTasks) -> Tensor:
        """The features of `sampled`, `[n, size]`."""
        coordinates = 0.5 + (sampled.tasks - self._mean) / self._width
        return coordinates if self._groups is None else torch.cat((coordinates, self._groups[sampled.ids]), -1)

    def spread(self, features: Tensor) -> float:
        """Mean standard deviation of the coordinates in `features` `[n, size]`, as a share of the reference's."""
        return float(UNIFORM_WIDTH * features[:, : self._task_dim].std(0).mean())
