"""What an algorithm learns from: how trials become batches."""

from datamodules.experience.base import Experience, TrialSource
from datamodules.experience.from_replay import ReplayExperience
from datamodules.experience.from_trials import TrialBatch, TrialExperience

__all__ = ["Experience", "ReplayExperience", "TrialBatch", "TrialExperience", "TrialSource"]
