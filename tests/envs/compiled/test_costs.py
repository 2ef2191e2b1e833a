"""Sums of squares, against the whole-array formula."""

from __future__ import annotations

import numpy as np
import pytest

from envs.compiled.costs import sums_of_squares


@pytest.mark.parametrize("bound", [1.0, np.inf])
def test_numbers_are_brought_within_the_bound_squared_and_added(bound: float) -> None:
    rows = np.random.default_rng(0).normal(0.0, 2.0, (5, 40))[:, 3:30]  # a part of other rows, as readings are
    np.testing.assert_allclose(sums_of_squares(rows, bound), np.square(rows.clip(-bound, bound)).sum(-1), rtol=1e-12)
