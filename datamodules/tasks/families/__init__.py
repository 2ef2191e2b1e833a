"""Families of task distributions D_φ that the cross-entropy method moves within (RoML, Greenberg et al. 2023)."""

from datamodules.tasks.families.base import TaskFamily
from datamodules.tasks.families.beta import ArcFamily, BetaFamily, DiskFamily, LogBetaFamily, UnitBetaFamily
from datamodules.tasks.families.categorical import CategoricalFamily
from datamodules.tasks.families.exponential import ExponentialFamily
from datamodules.tasks.families.gaussian import GaussianFamily
from datamodules.tasks.families.groups import GroupFamily
from datamodules.tasks.families.matching import matching_family

__all__ = [
    "ArcFamily",
    "BetaFamily",
    "CategoricalFamily",
    "DiskFamily",
    "ExponentialFamily",
    "GaussianFamily",
    "GroupFamily",
    "LogBetaFamily",
    "TaskFamily",
    "UnitBetaFamily",
    "matching_family",
]
