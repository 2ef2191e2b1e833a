"""Seeds on one grid, and the steps to a reference's final return."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from envs.errors import ConfigurationError
from lit_metarl.report.curves import (
    GRID_POINTS,
    Curve,
    averages_over_steps,
    curve_of,
    first_reached,
    on_common_grid,
    steps_to_reference,
)


def curve(seeds: dict[int, tuple[list[float], list[float]]], resamples: int, method: str = "none") -> Curve:
    """The curve of seeds that validated at some steps, with some returns."""
    rows = [
        {"experiment": "point", "method": method, "seed": seed, "environment_steps": step, "val/return": value}
        for seed, (steps, values) in seeds.items()
        for step, value in zip(steps, values)
    ]
    return curve_of(pd.DataFrame(rows), "val/return", resamples)


def test_seeds_that_validated_at_different_steps_are_interpolated() -> None:
    found = curve({1: ([0, 10, 20], [0, 10, 20]), 2: ([0, 20], [0, 40]), 3: ([5, 25], [5, 25])}, 100)
    np.testing.assert_array_equal(found.points["environment_steps"], [5, 10, 20])
    np.testing.assert_allclose(found.points["value"], np.array([5 + 10 + 5, 10 + 20 + 10, 20 + 40 + 20]) / 3)
    assert found.points["value"].between(found.points["low"], found.points["high"]).all()


def test_seeds_without_common_steps_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="point/none.*no environment steps in common"):
        curve({1: ([0, 10], [0, 1]), 2: ([20, 30], [0, 1])}, 100)


def test_the_first_step_at_or_above_the_target_counts_even_if_the_curve_falls_again() -> None:
    curves = np.array([[0.0, 3.0, 1.0, 5.0], [0.0, 1.0, 2.0, 2.5]])
    np.testing.assert_array_equal(
        first_reached(np.array([10.0, 20.0, 30.0, 40.0]), curves, np.full(2, 3.0)), [20, np.inf]
    )


def test_the_interval_of_steps_knows_that_the_references_end_is_uncertain_and_its_budget_another() -> None:
    ends = {1: 1.0, 2: 2.0, 3: 3.0}
    uncertain = curve({seed: ([10.0, 20.0, 40.0], [0.0, 0.0, end]) for seed, end in ends.items()}, 200)
    certain = curve({seed: ([10.0, 20.0, 30.0, 40.0, 80.0], [0.0, 1.0, 2.0, 3.0, 4.0]) for seed in ends}, 200, "fast")
    _, share = steps_to_reference(certain, uncertain)
    assert share == (0.75, 0.5, 1.0)


def test_steps_are_a_share_of_the_budget_of_the_reference() -> None:
    steps = [10.0, 20.0, 30.0, 40.0]
    values = {"none": [0.0, 1.0, 2.0, 4.0], "fast": [0.0, 4.0, 5.0, 6.0], "slow": [0.0, 0.0, 1.0, 1.0]}
    curves = {method: curve(dict.fromkeys((1, 2, 3), (steps, own)), 50, method) for method, own in values.items()}
    found = {method: steps_to_reference(own, curves["none"]) for method, own in curves.items()}
    assert {method: share.value for method, (_, share) in found.items()} == {"none": 1.0, "fast": 0.5, "slow": np.inf}
    assert found["fast"] == (20.0, (0.5, 0.5, 0.5))
    assert found["slow"] == (np.inf, (np.inf, np.inf, np.inf))


def runs(*own: tuple[str, int, list[float], list[float]]) -> pd.DataFrame:
    """Rows of runs of one experiment: method, seed, environment steps and returns."""
    return pd.DataFrame(
        [
            {"method": method, "seed": seed, "environment_steps": step, "val/return": value}
            for method, seed, steps, values in own
            for step, value in zip(steps, values)
        ]
    )


def test_the_grid_has_all_steps_that_every_run_covers_and_none_beyond() -> None:
    rows = runs(("none", 1, [0, 10, 20], [0, 1, 2]), ("none", 2, [5, 15, 30], [0, 1, 2]))
    assert list(on_common_grid(rows, "val/return").index) == [5, 10, 15, 20]


def test_a_fine_grid_is_thinned_out() -> None:
    steps = list(map(float, range(2000)))
    grid = on_common_grid(runs(("none", 1, steps, steps)), "val/return")
    assert len(grid) == GRID_POINTS
    assert (grid.index[0], grid.index[-1]) == (0.0, 1999.0)
    np.testing.assert_allclose(grid["none", 1], grid.index)


def test_the_average_over_steps_is_the_area_under_the_curve_within_what_all_runs_cover() -> None:
    rows = runs(("none", 1, [0, 10, 40], [0, 10, 40]), ("hfr", 1, [10, 30], [6, 2]), ("none", 2, [0, 30], [5, 5]))
    found = averages_over_steps(rows, "val/return")
    assert found.loc[1, "none"] == pytest.approx(20)  # straight from 10 to 30
    assert found.loc[1, "hfr"] == pytest.approx(4)
    assert found.loc[2, "none"] == pytest.approx(5)
    assert np.isnan(found.loc[2, "hfr"])


def test_runs_without_steps_in_common_have_no_average() -> None:
    assert averages_over_steps(runs(("none", 1, [0, 10], [0, 1]), ("hfr", 1, [10, 20], [0, 1])), "val/return").empty
