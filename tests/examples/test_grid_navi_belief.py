"""The figure of GridNavi's belief shows what the belief says."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from envs import GridNavi
from envs.navigation.grid_navi import CELLS, GOAL_REWARD, STEP_REWARD
from examples import grid_navi_belief
from lit_metarl.algorithms import ELBOPlan, VariBAD
from lit_metarl.losses.belief import RewardLikelihood


class KnowingDecoder(nn.Module):
    """Pays for entering the cell that the latent variable names.

    Args:
        pays: what is predicted of that cell.
        else_pays: and of the others.
    """

    def __init__(self, pays: float, else_pays: float) -> None:
        super().__init__()
        self.pays, self.else_pays = pays, else_pays

    def forward(self, states: Tensor, action: Tensor, latent: Tensor, steps: Tensor) -> Tensor:
        entered = states[:, None, :, 0, :2].expand(-1, latent.shape[1], -1, -1)
        right = (entered == latent[:, :, None].round()).all(-1, keepdim=True)
        return torch.where(right, self.pays, self.else_pays)


@pytest.mark.parametrize(
    ("likelihood", "pays", "else_pays"), [("gaussian", GOAL_REWARD, STEP_REWARD), ("bernoulli", 10.0, -30.0)]
)
def test_a_belief_that_knows_the_goal_is_decoded_to_it(
    likelihood: RewardLikelihood, pays: float, else_pays: float
) -> None:
    agent = VariBAD(GridNavi.meta_spec, latent_dim=2, elbo=ELBOPlan(reward_likelihood=likelihood))
    agent.decoders["reward"] = KnowingDecoder(pays, else_pays)
    cells = torch.tensor([[4.0, 1.0], [0.0, 3.0]])
    certain = torch.cat((cells, torch.full((2, 2), -20.0)), -1)
    probabilities = grid_navi_belief.goal_probabilities(agent, certain, torch.Generator().manual_seed(0))
    assert probabilities.argmax(-1).tolist() == [4 * CELLS + 1, 3]
    assert probabilities.max(-1).values.tolist() == pytest.approx([1.0, 1.0], abs=1e-4)


def test_rows_and_figure_come_from_a_checkpoint(run_tiny: Callable[..., int], tmp_path: Path) -> None:
    short = ["--trainer.max_epochs=1", "--data.collection.iterations=2", "--data.belief.trials=2"]
    assert run_tiny("fit", *short, config="two_cores/grid_navi_varibad.yaml") == 0
    (checkpoint,) = tmp_path.glob("runs/version_0/checkpoints/best.ckpt")
    assert grid_navi_belief.main([str(tmp_path / "belief"), str(checkpoint), "--trials_per_goal=1"]) == 0
    assert (tmp_path / "belief" / "belief.png").stat().st_size > 0
    with (tmp_path / "belief" / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["perfect_entropy"]) == pytest.approx(math.log(21), abs=1e-4)
    assert all(0.0 <= float(row["entropy"]) <= math.log(CELLS**2) + 1e-6 for row in rows)
    assert all(float(row["perfect_entropy"]) >= 0.0 for row in rows)


def test_a_checkpoint_that_is_none_of_varibads_is_one_message(
    run_tiny: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert grid_navi_belief.main([str(tmp_path / "belief"), str(tmp_path / "nowhere.ckpt")]) == 2
    assert "nowhere.ckpt' is not usable: there is no such file" in capsys.readouterr().err
    assert run_tiny("fit", "--trainer.max_epochs=1") == 0
    (checkpoint,) = tmp_path.glob("runs/version_0/checkpoints/last.ckpt")
    assert grid_navi_belief.main([str(tmp_path / "belief"), str(checkpoint)]) == 2
    assert "Give those of VariBAD on GridNavi" in capsys.readouterr().err
    assert not (tmp_path / "belief").exists()
