"""Gymnasium environments of the user's, with tasks, as environments of this project."""

from envs.from_gymnasium.env import FromGymnasium
from envs.from_gymnasium.sub_environment import Step

__all__ = ["FromGymnasium", "Step"]
