"""Environments of a robot arm."""

from envs.manipulation.meta_world import ML1, ML10, ML25, ML45
from envs.manipulation.sawyer import SawyerPush, SawyerPushSparse, SawyerReach, SawyerReachSparse

__all__ = [
    "ML1",
    "ML10",
    "ML25",
    "ML45",
    "SawyerPush",
    "SawyerPushSparse",
    "SawyerReach",
    "SawyerReachSparse",
]
