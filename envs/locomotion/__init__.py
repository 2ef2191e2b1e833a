"""MuJoCo worlds of running robots."""

from envs.locomotion.half_cheetah import HalfCheetahVel

__all__ = ["HalfCheetahVel"]
