"""Which tasks are trained on."""

from datamodules.tasks.cem import CEMTaskSampler
from datamodules.tasks.families import BetaFamily, TaskFamily
from datamodules.tasks.samplers import FixedTaskSampler, TaskSampler, UniformTaskSampler

__all__ = [
    "BetaFamily",
    "CEMTaskSampler",
    "FixedTaskSampler",
    "TaskFamily",
    "TaskSampler",
    "UniformTaskSampler",
]
