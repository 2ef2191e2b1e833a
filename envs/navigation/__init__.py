"""Worlds of a point or an agent that finds its way."""

from envs.navigation.point import FourCorners, PointRobot, SparsePointRobot

__all__ = ["FourCorners", "PointRobot", "SparsePointRobot"]
