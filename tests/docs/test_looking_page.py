"""docs/looking.md explains what a run logs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from envs import PointRobot
from lit_metarl.algorithms import MAML, PEARL, RL2, ELBOPlan, MetaRLModule, VariBAD
from lit_metarl.frames import curves
from tests.test_matrix import train

PAGE = Path(__file__).parents[2] / "docs" / "looking.md"
EVERYTHING = ELBOPlan(reward_weight=1.0, state_weight=1.0, task_weight=1.0)


def explained(algorithm: str) -> set[str]:
    """The scalars in rows of the page's table that are about all algorithms or this one."""
    rows = [line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    about = [row[1] for row in rows if row[2].strip() == "all" or algorithm in re.split(", | ", row[2].strip())]
    return {name for names in about for name in re.findall("`([^`]+)`", names)}


@pytest.mark.parametrize(
    ("algorithm", "name", "settings"),
    [(PEARL, "PEARL", {}), (VariBAD, "VariBAD", {"elbo": EVERYTHING}), (RL2, "RL²", {}), (MAML, "MAML", {})],
)
def test_every_scalar_of_an_algorithm_is_explained(
    algorithm: type[MetaRLModule], name: str, settings: dict[str, Any]
) -> None:
    agent = train(PointRobot, algorithm, **settings).lightning_module
    logged = [scalar for scalar in curves(agent) if scalar.startswith(("train/", "collect/", "progress/"))]
    assert any(scalar.startswith("train/") for scalar in logged)
    assert not set(logged) - explained(name)
