"""Which charts TensorBoard shows first, and how it arranges all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

OVERVIEW = "0_overview"
"""A group whose name sorts before those of all other scalars and images: TensorBoard opens on it."""

HEADLINES = {
    "return": f"{OVERVIEW}/return",
    "cvar": f"{OVERVIEW}/return_cvar",
    "return_episode_1": f"{OVERVIEW}/return_of_first_episode",
    "success": f"{OVERVIEW}/success",
}
SPEED = f"{OVERVIEW}/steps_per_second"
ADAPTATION = f"{OVERVIEW}/adaptation"

TOGETHER: dict[str, dict[str, tuple[str, ...]]] = {
    "Held-out tasks": {
        "Return and CVaR": (r"val/return$", r"val/cvar$"),
        "Adaptation: return by episode": (r"val/return_episode_\d+$",),
        "Success": (r"val/success$",),
        "Environment steps per second": (rf"{SPEED}$",),
    },
    "Training": {"Return while collecting": (r"collect/return.*",)},
    "Task sampling": {
        "Mean of the sampled tasks": (r"(cem|predictor)/mean_.*",),
        "Rank correlation of predicted and measured risk": (r"predictor/rank_correlation$",),
    },
    "Relabeling": {"Share that was relabeled": (r"relabel/rate$",)},
}
"""Charts by group, each with the patterns of the scalars that share its axes."""

APART = {"Losses": r"train/"}
"""Groups of scalars with axes of their own, by the beginning of their names."""


def layout_of(scalars: Iterable[str]) -> dict[str, dict[str, list[Any]]]:
    """TensorBoard's custom layout with the charts that there are `scalars` for, and no empty one."""
    names = sorted(scalars)
    groups: dict[str, dict[str, list[Any]]] = {
        group: {
            title: ["Multiline", list(patterns)]
            for title, patterns in charts.items()
            if any(re.match(pattern, name) for pattern in patterns for name in names)
        }
        for group, charts in TOGETHER.items()
    }
    for group, beginning in APART.items():
        own = [name for name in names if name.startswith(beginning)]
        groups[group] = {
            name.removeprefix(beginning).replace("_", " "): ["Multiline", [f"{re.escape(name)}$"]] for name in own
        }
    return {group: charts for group, charts in groups.items() if charts}
