"""The worlds: batched environments with tasks, features and rewards that can be recomputed for any task."""

from envs.base import MetaEnv, Reward, Step, TaskChanges, WorldSpec
from envs.errors import ConfigurationError
from envs.locomotion import HalfCheetahVel
from envs.navigation import FourCorners, PointRobot, SparsePointRobot
from envs.registration import register_world

WORLDS: tuple[type[MetaEnv], ...] = (FourCorners, HalfCheetahVel, PointRobot, SparsePointRobot)

for _world in WORLDS:
    register_world(_world)

__all__ = [
    "WORLDS",
    "ConfigurationError",
    "FourCorners",
    "HalfCheetahVel",
    "MetaEnv",
    "PointRobot",
    "Reward",
    "SparsePointRobot",
    "Step",
    "TaskChanges",
    "WorldSpec",
]
