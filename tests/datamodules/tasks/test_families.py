"""Families of task distributions against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from datamodules.tasks import BetaFamily
from envs import ConfigurationError
from envs.task_distributions import FiniteTasks, HalfCircle, TaskDistribution, UniformBox

LOW, HIGH = [-1.0, 2.0], [1.0, 9.0]
PARAMETERS = torch.tensor([0.2, 0.7])


@pytest.fixture
def family() -> BetaFamily:
    family = BetaFamily()
    family.bind(UniformBox(LOW, HIGH))
    return family


def share_of_interval(tasks: torch.Tensor) -> np.ndarray:
    return ((tasks - torch.tensor(LOW)) / (torch.tensor(HIGH) - torch.tensor(LOW))).double().numpy()


def log_density(tasks: torch.Tensor, parameters: torch.Tensor, margin: float) -> np.ndarray:
    """The density on the unit square, by scipy."""
    phi = parameters.double().numpy()
    unit = np.clip(share_of_interval(tasks), margin, 1 - margin)
    return stats.beta.logpdf(unit, 2 * phi, 2 - 2 * phi).sum(-1)


def test_the_reference_parameters_give_the_uniform_distribution(family: BetaFamily) -> None:
    tasks = UniformBox(LOW, HIGH).sample(100, torch.Generator().manual_seed(0))
    log_probs = family.log_prob(family.reference_parameters, tasks)
    assert log_probs.numpy() == pytest.approx(np.zeros(100), abs=1e-5)


def test_log_densities_agree_with_scipy_and_are_bounded_near_the_ends(family: BetaFamily) -> None:
    tasks = UniformBox(LOW, HIGH).sample(200, torch.Generator().manual_seed(0))
    tasks[:3] = torch.tensor([[-1.0, 9.0], [1.0, 2.0], [-0.999, 5.0]])
    expected = log_density(tasks, PARAMETERS, margin=0.02)
    assert family.log_prob(PARAMETERS, tasks).numpy() == pytest.approx(expected, abs=1e-4)


def test_samples_follow_the_distribution_of_their_parameters(family: BetaFamily) -> None:
    tasks = family.sample(PARAMETERS, 4000, torch.Generator().manual_seed(1))
    assert tasks.shape == (4000, 2)
    for unit, phi in zip(share_of_interval(tasks).T, PARAMETERS.tolist()):
        assert stats.kstest(unit, stats.beta(2 * phi, 2 - 2 * phi).cdf).pvalue > 1e-3


@pytest.mark.parametrize("phi", [0.02, 0.98])
@pytest.mark.parametrize("bounds", [(-0.1, 0.1), (0.05, 0.3), (0.0, 7.0), (2**-0.5, 2**0.5)])
def test_samples_of_the_most_extreme_distributions_are_tasks_of_the_world(
    phi: float, bounds: tuple[float, float]
) -> None:
    reference = UniformBox([bounds[0]], [bounds[1]])
    family = BetaFamily()
    family.bind(reference)
    tasks = family.sample(torch.tensor([phi]), 5000, torch.Generator().manual_seed(0))
    assert bool(reference.contains(tasks).all())


def test_sampling_uses_the_given_generator_alone(family: BetaFamily) -> None:
    before = torch.get_rng_state()
    first, second = (family.sample(PARAMETERS, 10, torch.Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_fit_is_the_weighted_mean_of_each_coordinate(family: BetaFamily) -> None:
    tasks = UniformBox(LOW, HIGH).sample(50, torch.Generator().manual_seed(0))
    weights = torch.rand(50, generator=torch.Generator().manual_seed(1)) * 3
    expected = np.average(share_of_interval(tasks), axis=0, weights=weights.double().numpy())
    assert family.fit(tasks, weights).numpy() == pytest.approx(expected, abs=1e-5)


def test_the_fit_stays_a_margin_away_from_the_ends(family: BetaFamily) -> None:
    tasks = torch.tensor([[-1.0, 9.0], [-1.0, 9.0]])
    assert family.fit(tasks, torch.ones(2)).tolist() == pytest.approx([0.02, 0.98])


def test_mean_and_quantiles_are_in_the_worlds_units(family: BetaFamily) -> None:
    assert family.mean(PARAMETERS).tolist() == pytest.approx([-1 + 0.2 * 2, 2 + 0.7 * 7])
    levels = torch.tensor([0.05, 0.5, 0.95])
    quantiles = family.quantiles(PARAMETERS, levels, torch.Generator().manual_seed(0))
    phi = PARAMETERS.double().numpy()
    exact = stats.beta.ppf(levels.numpy()[:, None], 2 * phi, 2 - 2 * phi) * [2.0, 7.0] + LOW
    assert quantiles.numpy() == pytest.approx(exact, abs=0.2)


@pytest.mark.parametrize("reference", [HalfCircle(1.0), FiniteTasks([[1.0], [-1.0]])])
def test_a_world_without_uniform_tasks_is_refused_by_name(reference: TaskDistribution) -> None:
    with pytest.raises(ConfigurationError, match=rf"family = 'BetaFamily' .* {type(reference).__name__}"):
        BetaFamily().bind(reference)
