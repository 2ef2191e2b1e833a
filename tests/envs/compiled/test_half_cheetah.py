"""The half-cheetah's features and observation, against whole-array formulas."""

from __future__ import annotations

import numpy as np

from envs.compiled.half_cheetah import write_observation, write_velocity_and_cost

GENERATOR = np.random.default_rng(0)


def test_velocity_and_cost_are_those_of_the_formulas() -> None:
    before, after, controls = (GENERATOR.normal(size=(4, size)) for size in (9, 9, 6))
    features = np.zeros((4, 3), np.float32)
    write_velocity_and_cost(before, after, 0.05, controls, 0.1, features)
    expected = np.stack(((after - before)[:, 0] / 0.05, 0.1 * np.square(controls).sum(-1), np.zeros(4)), -1)
    np.testing.assert_allclose(features, expected, rtol=1e-6)


def test_the_observation_is_the_motion_without_x_and_the_torso() -> None:
    motion, observation = GENERATOR.normal(size=(4, 18)), np.empty((4, 20), np.float32)
    write_observation(motion, 0.7, observation)
    torso = np.stack((motion[:, 0], np.zeros(4), motion[:, 1] + 0.7), -1)
    assert np.array_equal(observation, np.concatenate((motion[:, 1:], torso), -1).astype(np.float32))
