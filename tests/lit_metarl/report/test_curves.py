"""Seeds on one grid, and the steps to a reference's final return."""

from __future__ import annotations

import numpy as np
import pytest

from envs.errors import ConfigurationError
from lit_metarl.report.bootstrap import Bootstrap
from lit_metarl.report.curves import GRID_POINTS, common_grid, curve_of
from lit_metarl.report.results import Run
from lit_metarl.report.run_folders import RunName
from lit_metarl.report.steps_to_reference import first_reached, steps_to_reference


def run(seed: int, steps: list[float], values: list[float], method: str = "none") -> Run:
    return Run(RunName("point", method, seed), {}, np.array(steps), {"val/return": np.array(values)}, {}, None)


def test_the_grid_has_all_steps_that_every_seed_covers_and_none_beyond() -> None:
    grid = common_grid([np.array([0.0, 10.0, 20.0]), np.array([5.0, 15.0, 30.0])])
    np.testing.assert_array_equal(grid, [5.0, 10.0, 15.0, 20.0])


def test_a_fine_grid_is_thinned_out() -> None:
    grid = common_grid([np.arange(0.0, 2000.0)])
    assert len(grid) == GRID_POINTS
    assert (grid[0], grid[-1]) == (0.0, 1999.0)


def test_seeds_that_validated_at_different_steps_are_interpolated() -> None:
    runs = [run(1, [0, 10, 20], [0, 10, 20]), run(2, [0, 20], [0, 40]), run(3, [5, 25], [5, 25])]
    curve = curve_of(runs, "val/return", Bootstrap(100))
    np.testing.assert_array_equal(curve.steps, [5, 10, 20])
    np.testing.assert_allclose(curve.value, np.array([5 + 10 + 5, 10 + 20 + 10, 20 + 40 + 20]) / 3)
    assert curve.low is not None
    assert curve.high is not None
    assert np.all((curve.low <= curve.value) & (curve.value <= curve.high))


def test_seeds_without_common_steps_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="point/none.*no environment steps in common"):
        curve_of([run(1, [0, 10], [0, 1]), run(2, [20, 30], [0, 1])], "val/return", Bootstrap())


def test_the_first_step_at_or_above_the_target_counts_even_if_the_curve_falls_again() -> None:
    curves = np.array([[0.0, 3.0, 1.0, 5.0], [0.0, 1.0, 2.0, 2.5]])
    np.testing.assert_array_equal(
        first_reached(np.array([10.0, 20.0, 30.0, 40.0]), curves, np.full(2, 3.0)), [20, np.inf]
    )


def test_the_interval_of_steps_knows_that_the_references_end_is_uncertain_and_its_budget_another() -> None:
    ends = {1: 1.0, 2: 2.0, 3: 3.0}
    uncertain = [run(seed, [10.0, 20.0, 40.0], [0.0, 0.0, end]) for seed, end in ends.items()]
    certain = [run(seed, [10.0, 20.0, 30.0, 40.0, 80.0], [0.0, 1.0, 2.0, 3.0, 4.0], "fast") for seed in ends]
    curves = {
        method: curve_of(runs, "val/return", Bootstrap(200))
        for method, runs in (("none", uncertain), ("fast", certain))
    }
    ratio = steps_to_reference(curves, "none")["fast"].ratio
    assert ratio.value == 0.75
    assert (ratio.low, ratio.high) == (0.5, 1.0)


def test_steps_are_a_share_of_the_budget_of_the_reference() -> None:
    steps = [10.0, 20.0, 30.0, 40.0]
    values = {"none": [0.0, 1.0, 2.0, 4.0], "fast": [0.0, 4.0, 5.0, 6.0], "slow": [0.0, 0.0, 1.0, 1.0]}
    curves = {
        method: curve_of([run(seed, steps, own, method) for seed in (1, 2, 3)], "val/return", Bootstrap(50))
        for method, own in values.items()
    }
    found = steps_to_reference(curves, "none")
    assert {method: one.ratio.value for method, one in found.items()} == {"none": 1.0, "fast": 0.5, "slow": np.inf}
    assert (found["fast"].ratio.low, found["fast"].ratio.high) == (0.5, 0.5)
    assert (found["slow"].ratio.low, found["slow"].ratio.high) == (np.inf, np.inf)
