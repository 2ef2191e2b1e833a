"""The example of docs/relabeling.md does what the page says, through the real command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).parent.parent.parent / "docs" / "relabeling.md"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`my_relabelers.py` with the page's code, where Python finds it."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "my_relabelers.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("example")
def test_the_example_runs_from_the_command_line(run_tiny: Callable[..., int]) -> None:
    assert run_tiny("fit", "--data.relabeler=my_relabelers.BestReturnRelabeler") == 0


@pytest.mark.usefixtures("example")
def test_the_example_keeps_a_trajectory_for_the_goal_that_it_ends_at() -> None:
    import my_relabelers  # type: ignore[import-not-found]
    from tensordict import TensorDict

    from datamodules.collection import Trials
    from datamodules.replay import TaskReplay
    from envs import PointRobot

    goals = torch.tensor([[0.9, 0.0], [-0.9, 0.0], [0.0, 0.9]])
    there = goals[[2, 0, 1]]
    replay = TaskReplay(PointRobot(3), slots=3, capacity=100)
    replay.tasks.copy_(goals)
    features = there[:, None, None].expand(3, 1, 5, 2)
    valid = torch.ones(3, 1, 5, dtype=torch.bool)
    steps = dict.fromkeys(("observation", "action", "next_observation", "features"), features)
    trials = Trials(goals, TensorDict({**steps, "valid": valid}, [3, 1, 5]), None, 1)
    stored = replay.add(trials, torch.arange(3), torch.ones(1, dtype=torch.bool))
    relabeler = my_relabelers.BestReturnRelabeler(probability=1.0)
    relabeler.bind(0, 0)
    assert relabeler.relabel(stored, replay, None).tolist() == [2, 0, 1]
