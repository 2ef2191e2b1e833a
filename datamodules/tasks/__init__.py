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
from datamodules.tasks.mpts import MPTSSampler
from datamodules.tasks.pdts import PDTSSampler
from datamodules.tasks.predictive import PredictiveTaskSampler
from datamodules.tasks.risk_predictor import RiskPredictorPlan
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
    "MPTSSampler",
    "PDTSSampler",
    "PredictiveTaskSampler",
    "RiskPredictorPlan",
    "SampledTasks",
    "TaskFamily",
    "TaskSampler",
    "UniformTaskSampler",
    "UnitBetaFamily",
]
