"""How trials become the batches that an algorithm learns from."""

from datamodules.experience.base import Experience
from datamodules.experience.from_replay import ReplayExperience
from datamodules.experience.from_trials import TrialBatch, TrialExperience

__all__ = ["Experience", "ReplayExperience", "TrialBatch", "TrialExperience"]
