"""The sine regression of the RoML paper, tiny."""

from __future__ import annotations

import math

import pytest
import torch

from examples.sine_regression import Method, Settings, SineMAML, main, points

TINY = Settings(updates=30, tasks=8, width=8, alpha=0.25, round_size=40, test_tasks=64)


def test_points_lie_on_their_sines() -> None:
    sines = torch.tensor([[2.0, 0.5, 1.0], [3.0, 1.0, 2.0]])
    x, y = points(sines, 5, torch.Generator().manual_seed(0))
    assert x.shape == y.shape == (2, 5, 1)
    assert float(x.min()) >= 0
    assert float(x.max()) <= 2 * math.pi
    torch.testing.assert_close(y[1], 3.0 * (2.0 * x[1] + 1.0).sin())


@pytest.mark.parametrize("method", ["uniform", "cvar_ml", "roml"])
def test_every_method_learns_to_fit_after_a_step(method: Method) -> None:
    maml = SineMAML(method, TINY, seed=1)
    before = maml.test().mean()
    for _ in range(120):
        maml.update()
    assert float(maml.test().mean()) < float(before)
    assert float(maml.test(steps=1).mean()) < float(maml.test(steps=0).mean())


def test_robust_sampling_moves_to_large_amplitudes_and_uniform_sampling_does_not() -> None:
    def mean_amplitude(method: Method) -> float:
        maml = SineMAML(method, TINY, seed=1)
        for _ in range(60):
            maml.update()
        return float(torch.cat([maml.sampler.sample(8).tasks for _ in range(20)])[:, 0].mean())

    assert mean_amplitude("roml") > 3.5 > 3.0 > mean_amplitude("uniform")


def test_the_program_prints_mean_and_tail_for_every_number_of_steps(capsys: pytest.CaptureFixture[str]) -> None:
    main("cvar_ml", seed=2, settings=TINY)
    header, *rows = capsys.readouterr().out.split()
    assert header == "method,seed,inner_steps,mean,cvar"
    assert [row.split(",")[:3] for row in rows] == [["cvar_ml", "2", str(steps)] for steps in range(6)]
    assert all(float(row.split(",")[4]) > float(row.split(",")[3]) > 0 for row in rows)
