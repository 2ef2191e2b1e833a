"""Worlds of a robot arm."""

from envs.manipulation.meta_world import ML1, ML10, ML25, ML45

__all__ = ["ML1", "ML10", "ML25", "ML45"]
