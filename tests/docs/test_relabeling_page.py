"""The example of docs/relabeling.md does what the page says, through the real command line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.docs.conftest import OwnFiles


@pytest.fixture
def example(own_files: OwnFiles) -> None:
    """The page's file."""
    own_files.write("relabeling.md", "my_relabelers.py")


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
