"""Looks for what is wrong with an environment: `python -m envs.check my_envs.Mine`."""

from envs.check.checks import Finding, check

__all__ = ["Finding", "check"]
