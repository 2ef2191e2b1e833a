"""The linear feature baseline against numpy's least squares."""

from __future__ import annotations

import numpy as np
import torch

from lit_metarl.losses.linear_baseline import baseline_features, fitted_values

TASKS, EPISODES, TIME, SIZE = 3, 4, 12, 2
RIDGE = 1e-5


def test_the_features_are_observation_square_powers_of_time_and_one() -> None:
    observation = torch.tensor([[0.5, -20.0], [2.0, 3.0]])
    expected = torch.tensor([[0.5, -10.0, 0.25, 100.0, 0, 0, 0, 1], [2, 3, 4, 9, 0.01, 1e-4, 1e-6, 1]])
    torch.testing.assert_close(baseline_features(observation), expected)


def test_every_tasks_values_are_those_of_least_squares_on_its_own_valid_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    observation = torch.randn(TASKS, EPISODES, TIME, SIZE, generator=generator, dtype=torch.float64)
    returns = torch.randn(TASKS, EPISODES, TIME, generator=generator, dtype=torch.float64)
    lengths = torch.randint(3, TIME + 1, (TASKS, EPISODES), generator=generator)
    valid = torch.arange(TIME) < lengths[..., None]
    values = fitted_values(observation, returns, valid, RIDGE)
    assert (values[~valid] == 0).all()
    for task in range(TASKS):
        rows = baseline_features(observation[task])[valid[task]].numpy()
        targets = returns[task][valid[task]].numpy()
        penalty = np.sqrt(RIDGE) * np.eye(rows.shape[1])
        coefficients, *_ = np.linalg.lstsq(
            np.concatenate((rows, penalty)), np.concatenate((targets, np.zeros(len(penalty)))), rcond=None
        )
        np.testing.assert_allclose(values[task][valid[task]], rows @ coefficients, rtol=1e-5, atol=1e-7)


def test_a_task_without_steps_and_one_with_equal_steps_have_finite_values() -> None:
    observation = torch.ones(2, 1, TIME, SIZE)
    valid = torch.zeros(2, 1, TIME, dtype=torch.bool)
    valid[1] = True
    values = fitted_values(observation, torch.full((2, 1, TIME), 3.0), valid)
    assert (values[0] == 0).all()
    torch.testing.assert_close(values[1], torch.full((1, TIME), 3.0), rtol=1e-3, atol=1e-3)
