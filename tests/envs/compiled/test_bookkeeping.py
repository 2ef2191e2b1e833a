"""The checks and counts of a step, against whole-array formulas."""

from __future__ import annotations

import numpy as np
import pytest

from envs.compiled.bookkeeping import count, prepare

LOWEST, HIGHEST = np.array([-1.0, -0.5, 0.0], np.float32), np.array([1.0, 0.5, 2.0], np.float32)


def test_actions_of_those_who_act_are_brought_into_bounds() -> None:
    generator = np.random.default_rng(0)
    actions, copies = generator.normal(0.0, 2.0, (6, 3)).astype(np.float32), np.array([0, 2, 5])
    prepared = np.empty((3, 3), np.float32)
    assert prepare(actions, copies, np.ones(6, np.bool_), LOWEST, HIGHEST, prepared)
    assert np.array_equal(prepared, actions[copies].clip(LOWEST, HIGHEST))


@pytest.mark.parametrize("fault", [np.nan, np.inf, -np.inf])
def test_only_those_who_act_must_be_finite_and_running(fault: float) -> None:
    actions, running = np.zeros((3, 3), np.float32), np.array([True, True, False])
    actions[1, 2] = fault
    prepared = np.empty((2, 3), np.float32)

    def accepts(*copies: int) -> bool:
        return prepare(actions, np.array(copies), running, LOWEST, HIGHEST, prepared)

    assert accepts(0)
    assert not accepts(0, 1)
    assert not accepts(0, 2)


def test_a_step_is_counted_for_those_who_act_and_ends_their_episodes() -> None:
    generator = np.random.default_rng(1)
    for _ in range(50):
        before = generator.integers(0, 5, 8)
        running, terminated = generator.random(8) < 0.7, generator.random(8) < 0.3
        copies = np.flatnonzero(running)
        elapsed, still, truncated = before.copy(), running.copy(), np.empty(8, np.bool_)
        count(copies, elapsed, still, terminated, 4, truncated)
        assert np.array_equal(elapsed, before + running)
        assert np.array_equal(truncated, (elapsed >= 4) & ~terminated)
        assert np.array_equal(still, running & ~terminated & (elapsed < 4))
