"""The check of foresight counts what it says, and runs on a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from envs import HalfCheetahVel, PointRobot
from examples import foresight
from examples.foresight import Check, Foresight
from lit_metarl.algorithms import PEARL


def test_utilities_that_order_the_gains_correlate_fully_and_a_sharp_distribution_is_told() -> None:
    gains = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0], [5.0, 4.0, 3.0, 2.0, 1.0]])
    found = Foresight(logits=100.0 * gains, gains=gains)
    assert found.rank_correlation == pytest.approx(1.0)
    assert found.gain_under_p == pytest.approx(5.0)
    assert found.entropy == pytest.approx(0.0, abs=1e-6)
    assert found.largest_fifth == pytest.approx(0.5)


def test_the_return_of_adapting_is_that_of_a_trial_with_the_same_belief() -> None:
    agent = PEARL(PointRobot.meta_spec, exploration_episodes=1, layers=[8], encoder_layers=[8]).eval()
    check = Check(agent, PointRobot(5))
    hindsight = check.relabeled(check.trials.steps[0, 0])
    own = -(hindsight["next_observation"] - check.tasks[:, None]).norm(dim=-1)
    assert torch.allclose(hindsight["reward"], own)
    returns = check.adapted_return(hindsight)
    assert returns.shape == (5,)
    assert bool((returns < 0).all())


def test_an_agent_that_has_learned_nothing_gains_nothing() -> None:
    torch.manual_seed(1)
    agent = PEARL(HalfCheetahVel.meta_spec, exploration_episodes=1, layers=[8], encoder_layers=[8]).eval()
    gains = Check(agent, HalfCheetahVel(5)).of_episode(0, 3).gains
    assert abs(float(gains.mean())) < 10.0  # its action noise alone costs 60


def test_a_checkpoint_gives_one_row_an_episode(
    run_tiny: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny("fit") == 0
    checkpoint = tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    capsys.readouterr()
    assert foresight.main([str(checkpoint), "--tasks=6", "--trajectories=2"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 3
    assert all(len(row.split(",")) == len(rows[0].split(",")) for row in rows)
