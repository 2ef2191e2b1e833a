"""MuJoCo environments of running robots."""

from envs.locomotion.ant import AntDir, AntGoal, AntVel, AntVelSparse
from envs.locomotion.ant_bodies import AntBody, AntMass
from envs.locomotion.half_cheetah import HalfCheetahDir, HalfCheetahHighDim, HalfCheetahVel, HalfCheetahVelSparse
from envs.locomotion.half_cheetah_bodies import HalfCheetahBody, HalfCheetahMass, HalfCheetahMulti
from envs.locomotion.humanoid import HumanoidDir, HumanoidVel
from envs.locomotion.humanoid_bodies import HumanoidBody, HumanoidMass
from envs.locomotion.random_parameters import HopperRandParams, WalkerRandParams

__all__ = [
    "AntBody",
    "AntDir",
    "AntGoal",
    "AntMass",
    "AntVel",
    "AntVelSparse",
    "HalfCheetahBody",
    "HalfCheetahDir",
    "HalfCheetahHighDim",
    "HalfCheetahMass",
    "HalfCheetahMulti",
    "HalfCheetahVel",
    "HalfCheetahVelSparse",
    "HopperRandParams",
    "HumanoidBody",
    "HumanoidDir",
    "HumanoidMass",
    "HumanoidVel",
    "WalkerRandParams",
]
