"""Which tasks are trained on."""

from datamodules.tasks.cem import CEMTaskSampler
from datamodules.tasks.families import (
    ArcFamily,
    BetaFamily,
    CategoricalFamily,
    DiskFamily,
    ExponentialFamily,
    GaussianFamily,
    GroupFamily,
    LogBetaFamily,
    TaskFamily,
    UnitBetaFamily,
)
from datamodules.tasks.samplers import FixedTaskSampler, SampledTasks, TaskSampler, UniformTaskSampler

__all__ = [
    "ArcFamily",
    "BetaFamily",
    "CEMTaskSampler",
    "CategoricalFamily",
    "DiskFamily",
    "ExponentialFamily",
    "FixedTaskSampler",
    "GaussianFamily",
    "GroupFamily",
    "LogBetaFamily",
    "SampledTasks",
    "TaskFamily",
    "TaskSampler",
    "UniformTaskSampler",
    "UnitBetaFamily",
]
