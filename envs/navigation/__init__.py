"""Worlds of a point or an agent that finds its way."""

from envs.navigation.grid_navi import GridNavi
from envs.navigation.khazad_dum import KhazadDum
from envs.navigation.point import FourCorners, PointRobot, SparsePointRobot

__all__ = ["FourCorners", "GridNavi", "KhazadDum", "PointRobot", "SparsePointRobot"]
