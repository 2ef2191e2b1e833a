"""D6: random relabeling is the published baseline.

Recorded by giving `relabel_hfr_q` of the published code of HFR (michaelwan11/hfr, `rlkit/torch/sac/sac.py`) 2,000
trajectories with the arguments that `collect_data_new` calls it with for `relabel_method` "random", 200 for each of 10
training tasks: every trajectory was kept for exactly one task, drawn anew; a tenth for its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from scipy import stats

from datamodules.relabeling import RandomRelabeler
from datamodules.replay import TaskReplay, Trajectories
from envs import PointRobot

TASKS, EACH = 10, 200
RECORDED_COUNTS = [194, 208, 192, 231, 197, 206, 184, 206, 197, 185]
RECORDED_OWN_SHARE = 0.108


def test_every_trajectory_is_relabeled_for_a_task_drawn_evenly_from_all() -> None:
    path = Path(__file__).parents[2] / "configs" / "relabel" / "random.yaml"
    relabeler = RandomRelabeler(**yaml.safe_load(path.read_text())["data"]["relabeler"]["init_args"])
    relabeler.bind(1, 0)
    own = torch.arange(TASKS).repeat(EACH)
    numbers = torch.arange(len(own))
    trajectories = Trajectories(own, numbers, torch.ones_like(own), torch.ones_like(own, dtype=torch.bool))
    replay = TaskReplay(PointRobot(1), TASKS, 10)
    replay.tasks[:, 0] = torch.arange(TASKS) / TASKS
    kept_for = relabeler.relabel(trajectories, replay, None)

    counts = torch.bincount(kept_for, minlength=TASKS).tolist()
    assert stats.chi2_contingency([counts, RECORDED_COUNTS]).pvalue > 0.01
    own_share = float((kept_for == own).float().mean())
    spread = (2 * 0.1 * 0.9 / len(own)) ** 0.5
    assert abs(own_share - RECORDED_OWN_SHARE) < 3 * spread  # with one half relabeled, it would be 0.55
    assert relabeler.metrics()["relabel/rate"] == pytest.approx(1 - own_share)


def test_relabeling_every_trajectory_is_the_default_of_the_class() -> None:
    assert RandomRelabeler().probability == 1.0
