"""The estimators and their intervals, against closed forms and against rliable 1.2.0."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from lit_metarl.report.statistics import (
    estimate,
    interquartile_mean,
    interval,
    probability_of_improvement,
    resample,
)

# What rliable 1.2.0 says of these scores [runs, tasks], with 20,000 resamples.
X = np.array([[1.0, 1.3, 0.73], [0.11, 0.55, 0.01], [1.06, 2.34, 0.51], [0.38, 1.49, 1.36], [1.11, 0.07, 0.97]])
Y = np.array(
    [
        [1.0, -0.84, 0.04],
        [-1.4, -0.79, -1.34],
        [0.26, -0.77, 0.77],
        [0.66, 0.31, -2.02],
        [-0.04, 0.45, 0.61],
        [-1.03, 0.02, -0.48],
    ]
)
RLIABLE_IQM, RLIABLE_IQM_INTERVAL = 0.8455555555555555, (0.48555556, 1.13558333)
RLIABLE_IMPROVEMENT, RLIABLE_IMPROVEMENT_INTERVAL = 0.85, (0.7, 0.96666667)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([7.0], 7.0),
        ([1.0, 2.0, 6.0], 3.0),
        ([-100.0, 1.0, 3.0, 100.0], 2.0),
        ([100.0, 3.0, 1.0, 2.0, -100.0], 2.0),
        (list(range(100)), 49.5),
    ],
)
def test_the_interquartile_mean_is_the_mean_of_the_middle_half(scores: list[float], expected: float) -> None:
    assert interquartile_mean(np.array(scores, dtype=float)) == pytest.approx(expected)


def test_the_interquartile_mean_goes_along_one_axis() -> None:
    scores = np.random.default_rng(1).normal(size=(3, 8, 2))
    expected = [[np.sort(scores[i, :, j])[2:6].mean() for j in range(2)] for i in range(3)]
    np.testing.assert_allclose(interquartile_mean(scores, axis=1), expected)


def test_the_probability_of_improvement_counts_pairs_and_halves_of_ties() -> None:
    generator = np.random.default_rng(2)
    x, y = generator.integers(5, size=(4, 6)).astype(float), generator.integers(5, size=(4, 3)).astype(float)
    expected = [
        np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(row_x, row_y)])
        for row_x, row_y in zip(x, y)
    ]
    np.testing.assert_allclose(probability_of_improvement(x, y), expected)


def test_estimates_over_strata_and_their_intervals_are_those_of_rliable() -> None:
    iqm = estimate(interquartile_mean, {("x", str(task)): scores for task, scores in enumerate(X.T)}, 20_000)
    assert iqm.value == pytest.approx(RLIABLE_IQM)
    assert (iqm.low, iqm.high) == pytest.approx(RLIABLE_IQM_INTERVAL, abs=0.02)
    strata = [scores for pair in zip(X.T, Y.T) for scores in pair]
    purposes = [(str(place),) for place in range(6)]
    improvement = estimate(probability_of_improvement, dict(zip(purposes, strata)), 20_000)
    assert improvement.value == pytest.approx(RLIABLE_IMPROVEMENT)
    assert (improvement.low, improvement.high) == pytest.approx(RLIABLE_IMPROVEMENT_INTERVAL, abs=0.02)


def test_intervals_cover_the_true_value_about_as_often_as_they_say() -> None:
    generator = np.random.default_rng(3)
    samples = generator.normal(size=(300, 25))
    covered = []
    for place, scores in enumerate(samples):
        low, high = interval(interquartile_mean(resample(scores, 500, str(place)), axis=1))
        covered.append(low <= 0.0 <= high)
    assert 0.89 <= np.mean(covered) <= 0.98


def test_an_interval_of_infinite_values_has_infinite_ends_and_no_undefined_ones() -> None:
    low, high = interval(np.array([1.0] * 90 + [np.inf] * 10))
    assert (low, high) == (1.0, np.inf)


def test_seeds_are_resampled_whole_and_only_their_purpose_decides_how() -> None:
    values = np.arange(4.0)[:, None] + np.array([0.0, 10.0])
    first, again, other = (resample(values, 50, purpose) for purpose in ("a", "a", "b"))
    assert first.shape == (50, 4, 2)
    np.testing.assert_array_equal(first[..., 1] - first[..., 0], 10.0)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_two_seeds_give_no_interval() -> None:
    one = estimate(interquartile_mean, {("x",): np.array([1.0, 3.0])}, 100)
    assert one.value == 2.0
    assert np.isnan([one.low, one.high]).all()
    strata = {("x",): np.arange(5.0), ("y",): np.array([1.0, 3.0])}  # enough in one stratum only
    both = estimate(probability_of_improvement, strata, 100)
    assert np.isnan([both.low, both.high]).all()
