"""The best returns of KhazadDum are those of paths that one can walk."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from envs import KhazadDum
from envs.navigation.khazad_dum import MOVES
from examples import khazad_dum_optimum

LEFT, RIGHT, UP = 0, 1, 3
AROUND, OVER = [RIGHT] * 5 + [UP] * 5 + [LEFT] * 5, [UP] * 5


@pytest.mark.parametrize(
    ("path", "over_the_bridge", "start"),
    [(AROUND, False, [2.0, 2.0]), (OVER, True, [2.0, 2.0]), (OVER, True, [1.8, 2.3])],
)
def test_the_shortest_path_earns_the_best_return(path: list[int], over_the_bridge: bool, start: list[float]) -> None:
    env = KhazadDum(1)
    env.set_tasks(torch.zeros(1, 1))
    env.reset()
    env._position[:] = start
    walked = sum(float(env.step(torch.eye(len(MOVES))[[choice]])[1]) for choice in path)
    best = khazad_dum_optimum.best_return(np.array(start), over_the_bridge)
    assert best == pytest.approx(walked, abs=1e-5)


def test_the_means_of_both_ways_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert khazad_dum_optimum.main(["--starts=5"]) == 0
    around, over = (float(line.split(": ")[1].split(" ")[0]) for line in capsys.readouterr().out.splitlines())
    assert -0.35 < around < -0.2 < 0.0 < over < 0.15
