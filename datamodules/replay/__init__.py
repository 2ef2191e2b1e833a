"""Collected data, stored once and referred to by task."""

from datamodules.replay.references import ReferenceTable
from datamodules.replay.replay import TaskReplay, Trajectories
from datamodules.replay.rewards import KnownReward, RewardModel, RewardSource
from datamodules.replay.saving import Ring
from datamodules.replay.store import TransitionStore
from datamodules.replay.trial_buffer import TrialBuffer

__all__ = [
    "KnownReward",
    "ReferenceTable",
    "RewardModel",
    "RewardSource",
    "Ring",
    "TaskReplay",
    "Trajectories",
    "TransitionStore",
    "TrialBuffer",
]
