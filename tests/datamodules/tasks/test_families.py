"""Families of task distributions against scipy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from datamodules.tasks import (
    ArcFamily,
    BetaFamily,
    CategoricalFamily,
    DiskFamily,
    ExponentialFamily,
    GaussianFamily,
    GroupFamily,
    LogBetaFamily,
    TaskFamily,
)
from datamodules.tasks.families import matching_family
from envs import ConfigurationError
from envs.task_distributions import (
    Disk,
    Exponential,
    FiniteTasks,
    Gaussian,
    GroupedTasks,
    HalfCircle,
    LogUniformBox,
    TaskDistribution,
    UniformBox,
)

LOW, HIGH = [-1.0, 2.0], [1.0, 9.0]
PARAMETERS = torch.tensor([0.2, 0.7])


REFERENCES: dict[type[TaskFamily], TaskDistribution] = {
    BetaFamily: UniformBox(LOW, HIGH),
    LogBetaFamily: LogUniformBox([0.5, 0.25], [2.0, 4.0]),
    ExponentialFamily: Exponential(0.1),
    DiskFamily: Disk(5.0),
    ArcFamily: HalfCircle(2.0),
    GaussianFamily: Gaussian([1.0, -2.0], [[1.0, 0.3], [0.3, 0.5]]),
    CategoricalFamily: FiniteTasks([[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0]]),
    GroupFamily: GroupedTasks([[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0], [0.5, 0.0]], [0, 1, 0, 0]),
}
EVERY_FAMILY = pytest.mark.parametrize(
    ("kind", "reference"), [*REFERENCES.items()], ids=[k.__name__ for k in REFERENCES]
)


def moved(family: TaskFamily) -> torch.Tensor:
    """Parameters away from the reference: fitted to its draws with uneven weights."""
    draws = family.sample(family.reference_parameters, 400, torch.Generator().manual_seed(5))
    return family.fit(draws, (2.0 * family.vectors(draws)[:, 0]).sigmoid() ** 4)


def bound(kind: type[TaskFamily], reference: TaskDistribution) -> TaskFamily:
    family = kind()
    family.bind(reference)
    return family


@EVERY_FAMILY
def test_the_reference_parameters_give_the_reference_distribution(
    kind: type[TaskFamily], reference: TaskDistribution
) -> None:
    family = bound(kind, reference)
    drawn = family.vectors(family.sample(family.reference_parameters, 4000, torch.Generator().manual_seed(0)))
    expected = reference.sample(4000, torch.Generator().manual_seed(1))
    assert drawn.shape == expected.shape
    for one, other in zip(drawn.T, expected.T):
        assert stats.ks_2samp(one.numpy(), other.numpy()).pvalue > 1e-3
    assert bool(reference.contains(drawn).all())


@EVERY_FAMILY
def test_density_ratios_turn_draws_of_any_member_into_draws_of_the_reference(
    kind: type[TaskFamily], reference: TaskDistribution
) -> None:
    """Importance weights average to 1, and weighted moments are those of the reference."""
    family = bound(kind, reference)
    parameters = 0.5 * family.reference_parameters + 0.5 * moved(family)
    draws = family.sample(parameters, 40_000, torch.Generator().manual_seed(2))
    tasks = family.vectors(draws)
    assert bool(reference.contains(tasks).all())
    ratio = (family.log_prob(family.reference_parameters, draws) - family.log_prob(parameters, draws)).exp()
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.05)
    expected = reference.sample(40_000, torch.Generator().manual_seed(3))
    spread = float(expected.std())
    for power in (1, 2):
        weighted = (ratio[:, None] * tasks**power).mean(0)
        assert weighted.numpy() == pytest.approx((expected**power).mean(0).numpy(), abs=0.08 * max(1.0, spread**power))


@EVERY_FAMILY
def test_fitting_many_draws_gives_their_parameters_back(kind: type[TaskFamily], reference: TaskDistribution) -> None:
    family = bound(kind, reference)
    parameters = moved(family)
    draws = family.sample(parameters, 40_000, torch.Generator().manual_seed(4))
    refitted = family.fit(draws, torch.ones(len(draws)))
    if isinstance(family, CategoricalFamily):  # the floor is applied once more
        parameters = 0.9 * parameters + 0.1 * family.reference_parameters
    assert refitted.numpy() == pytest.approx(parameters.numpy(), abs=0.02)


@EVERY_FAMILY
def test_the_mean_is_that_of_draws(kind: type[TaskFamily], reference: TaskDistribution) -> None:
    family = bound(kind, reference)
    parameters = moved(family)
    tasks = family.vectors(family.sample(parameters, 40_000, torch.Generator().manual_seed(6)))
    spread = float(tasks.std())
    assert family.mean(parameters).numpy() == pytest.approx(tasks.mean(0).numpy(), abs=0.05 * spread)


@EVERY_FAMILY
def test_an_environment_of_other_tasks_is_refused_by_name(kind: type[TaskFamily], reference: TaskDistribution) -> None:
    other = Disk(1.0) if kind is not DiskFamily else Exponential(0.1)
    if kind is CategoricalFamily:  # takes the tasks of the slots instead
        return
    with pytest.raises(ConfigurationError, match=rf"family = '{kind.__name__}' .* {type(other).__name__}"):
        kind().bind(other)


@EVERY_FAMILY
def test_the_matching_family_is_found(kind: type[TaskFamily], reference: TaskDistribution) -> None:
    assert type(matching_family(reference)) is kind


def test_tasks_of_an_unknown_distribution_have_no_matching_family() -> None:
    class Strange(TaskDistribution):
        task_dim = 1

        def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
            return torch.zeros(n, 1)

        def contains(self, tasks: torch.Tensor) -> torch.Tensor:
            return tasks[:, 0] == 0

    with pytest.raises(ConfigurationError, match="no family is known for tasks that follow Strange"):
        matching_family(Strange())


def test_exponential_log_densities_agree_with_scipy() -> None:
    family = bound(ExponentialFamily, Exponential(0.1))
    tasks = torch.tensor([[0.0], [0.05], [0.7]])
    expected = stats.expon.logpdf(tasks[:, 0].numpy(), scale=0.3)
    assert family.log_prob(torch.tensor([0.3]), tasks).numpy() == pytest.approx(expected, abs=1e-5)


def test_gaussian_fits_are_weighted_moments_and_keep_their_eigenvalues_in_bounds() -> None:
    family = GaussianFamily(smallest_std=0.5, largest_std=1.5)
    family.bind(Gaussian([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]))
    tasks = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) @ torch.tensor([[1.2, 0.0], [0.4, 0.9]])
    weights = torch.rand(500, generator=torch.Generator().manual_seed(1))
    parameters = family.fit(tasks, weights).numpy()
    expected = np.cov(tasks.T.numpy(), aweights=weights.numpy(), ddof=0)
    assert parameters[:2] == pytest.approx(np.average(tasks.numpy(), axis=0, weights=weights.numpy()), abs=1e-5)
    assert parameters[2:] == pytest.approx(expected.flatten(), abs=1e-4)
    for scale, bound_reached in ((1e-3, 0.25), (1e3, 2.25)):
        covariance = family.fit(scale * tasks, weights)[2:].view(2, 2)
        assert torch.linalg.eigvalsh(covariance).tolist() == pytest.approx([bound_reached] * 2, rel=1e-3)


def test_a_categorical_fit_is_the_weighted_share_of_each_task_over_a_floor() -> None:
    family = CategoricalFamily(floor=0.3)
    family.bind(FiniteTasks([[1.0], [2.0], [3.0], [4.0]]))
    parameters = family.fit(torch.tensor([1, 3, 1]), torch.tensor([1.0, 2.0, 1.0]))
    assert parameters.tolist() == pytest.approx([0.075, 0.425, 0.075, 0.425])


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: BetaFamily(0.5), "margin"),
        (lambda: BetaFamily(density_margin=0.0), "density_margin"),
        (lambda: CategoricalFamily(0.0), "floor"),
        (lambda: GaussianFamily(smallest_std=0.0), "smallest_std"),
        (lambda: GaussianFamily(largest_std=0.9), "largest_std"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(make: Callable[[], object], name: str) -> None:
    with pytest.raises(ConfigurationError, match=f": {name} = "):
        make()


# The Beta family in particular


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
def test_samples_of_the_most_extreme_distributions_are_tasks_of_the_environment(
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


def test_mean_and_quantiles_are_in_the_environments_units(family: BetaFamily) -> None:
    assert family.mean(PARAMETERS).tolist() == pytest.approx([-1 + 0.2 * 2, 2 + 0.7 * 7])
    levels = torch.tensor([0.05, 0.5, 0.95])
    quantiles = family.quantiles(PARAMETERS, levels, torch.Generator().manual_seed(0))
    phi = PARAMETERS.double().numpy()
    exact = stats.beta.ppf(levels.numpy()[:, None], 2 * phi, 2 - 2 * phi) * [2.0, 7.0] + LOW
    assert quantiles.numpy() == pytest.approx(exact, abs=0.2)


def test_groups_move_together_and_a_single_group_falls_apart_into_its_tasks() -> None:
    family = GroupFamily()
    family.bind(GroupedTasks([[1.0], [2.0], [3.0], [4.0]], [0, 0, 1, 1]))
    fitted = family.fit(torch.tensor([0, 0]), torch.ones(2))
    drawn = family.vectors(family.sample(fitted, 2000, torch.Generator().manual_seed(0)))
    assert torch.allclose(fitted, torch.tensor([0.95, 0.05]))
    assert float((drawn == 2.0).float().mean()) == pytest.approx(0.475, abs=0.05)
    assert float(family.mean(fitted)) == pytest.approx(0.95 * 1.5 + 0.05 * 3.5)
    family.bind(GroupedTasks([[1.0], [2.0]], [0, 0]))
    assert torch.allclose(family.fit(torch.tensor([0]), torch.ones(1)), torch.tensor([0.95, 0.05]))
