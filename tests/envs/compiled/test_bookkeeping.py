"""The checks and counts of a step, against whole-array formulas."""

from __future__ import annotations

import numpy as np
import pytest

from envs.action_units import ROUNDING
from envs.compiled.bookkeeping import CLIPPED, REFUSED, WITHIN, all_finite, count, prepare

LOWEST, HIGHEST = np.array([-1.0, -0.5, 0.0], np.float32), np.array([1.0, 0.5, 2.0], np.float32)


def test_actions_of_those_who_act_are_brought_into_bounds() -> None:
    generator = np.random.default_rng(0)
    actions, env_ids = generator.normal(0.0, 2.0, (6, 3)).astype(np.float32), np.array([0, 2, 5])
    prepared = np.empty((3, 3), np.float32)
    assert prepare(actions, env_ids, np.ones(6, np.bool_), LOWEST, HIGHEST, ROUNDING, prepared)
    assert np.array_equal(prepared, actions[env_ids].clip(LOWEST, HIGHEST))


@pytest.mark.parametrize("fault", [np.nan, np.inf, -np.inf])
def test_only_those_who_act_must_be_finite_and_running(fault: float) -> None:
    actions, running = np.zeros((3, 3), np.float32), np.array([True, True, False])
    actions[1, 2] = fault
    prepared = np.empty((2, 3), np.float32)

    def accepts(*env_ids: int) -> bool:
        return prepare(actions, np.array(env_ids), running, LOWEST, HIGHEST, ROUNDING, prepared)

    assert accepts(0)
    assert not accepts(0, 1)
    assert not accepts(0, 2)


def test_a_step_is_counted_for_those_who_act_and_ends_their_episodes() -> None:
    generator = np.random.default_rng(1)
    for _ in range(50):
        before = generator.integers(0, 5, 8)
        running, terminated = generator.random(8) < 0.7, generator.random(8) < 0.3
        env_ids = np.flatnonzero(running)
        elapsed, still, truncated = before.copy(), running.copy(), np.empty(8, np.bool_)
        count(env_ids, elapsed, still, terminated, 4, truncated)
        assert np.array_equal(elapsed, before + running)
        assert np.array_equal(truncated, (elapsed >= 4) & ~terminated)
        assert np.array_equal(still, running & ~terminated & (elapsed < 4))


@pytest.mark.parametrize(
    ("action", "expected"), [(0.5, WITHIN), (0.50001, WITHIN), (0.51, CLIPPED), (-0.51, CLIPPED), (np.nan, REFUSED)]
)
def test_actions_beyond_the_bounds_by_more_than_rounding_are_told_apart(action: float, expected: int) -> None:
    actions, prepared = np.array([[0.0, action, 0.0]], np.float32), np.empty((1, 3), np.float32)
    running = np.ones(1, np.bool_)
    assert prepare(actions, np.arange(1), running, LOWEST, HIGHEST, ROUNDING, prepared) == expected


@pytest.mark.parametrize("fault", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", range(4))
def test_one_number_that_is_not_finite_is_found_among_those_who_act(fault: float, place: int) -> None:
    outcome = [np.zeros(shape, np.float32) for shape in ((3, 2), (3, 4), (3,), (3,))]
    outcome[place].reshape(3, -1)[1, -1] = fault
    assert all_finite(np.array([0, 2]), *outcome)
    assert not all_finite(np.array([0, 1]), *outcome)
