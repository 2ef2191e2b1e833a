"""The family for an environment, when none is named."""

from __future__ import annotations

from datamodules.tasks.families.base import TaskFamily
from datamodules.tasks.families.beta import ArcFamily, BetaFamily, DiskFamily, LogBetaFamily
from datamodules.tasks.families.categorical import CategoricalFamily
from datamodules.tasks.families.exponential import ExponentialFamily
from datamodules.tasks.families.gaussian import GaussianFamily
from datamodules.tasks.families.groups import GroupFamily
from envs.errors import ConfigurationError
from envs.task_distributions import TaskDistribution

FAMILIES: tuple[type[TaskFamily], ...] = (
    BetaFamily,
    LogBetaFamily,
    ExponentialFamily,
    DiskFamily,
    ArcFamily,
    GaussianFamily,
    GroupFamily,
    CategoricalFamily,
)


def matching_family(reference: TaskDistribution) -> TaskFamily:
    """The family whose distributions are like `reference`, with its default settings.

    Raises:
        ConfigurationError: if there is none.
    """
    for family in FAMILIES:
        if isinstance(reference, family.reference_type):
            return family()
    raise ConfigurationError(
        "family",
        None,
        f"no family is known for tasks that follow {type(reference).__name__}",
        "Write one (docs/robustness.md), or use CategoricalFamily, which works with a fixed set of tasks.",
    )
