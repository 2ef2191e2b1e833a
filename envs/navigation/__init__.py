"""Navigation environments: a point or an agent in the plane."""

from envs.navigation.grid_navi import GridNavi
from envs.navigation.khazad_dum import KhazadDum
from envs.navigation.point import FourCorners, PointRobot, SparsePointRobot

__all__ = ["FourCorners", "GridNavi", "KhazadDum", "PointRobot", "SparsePointRobot"]
