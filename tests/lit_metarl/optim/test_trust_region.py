"""Trust region steps against what linear algebra gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from envs import ConfigurationError
from lit_metarl.optim.trust_region import (
    Objective,
    TrustRegionPlan,
    TrustRegionStep,
    conjugate_gradient,
    trust_region_step,
)
from tests.ranks import connected, in_ranks

SIZE = 6


def positive_definite(seed: int = 0) -> Tensor:
    root = torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return root @ root.T + 0.1 * torch.eye(SIZE, dtype=torch.float64)


def vector(seed: int) -> Tensor:
    return torch.randn(SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_conjugate_gradient_solves_as_linalg_does() -> None:
    matrix, target = positive_definite(), vector(1)
    solution = conjugate_gradient(lambda v: matrix @ v, target, 2 * SIZE)
    torch.testing.assert_close(solution, torch.linalg.solve(matrix, target), rtol=1e-8, atol=1e-10)


def test_conjugate_gradient_of_nothing_is_nothing() -> None:
    zero = torch.zeros(SIZE, dtype=torch.float64)
    assert torch.equal(conjugate_gradient(lambda v: positive_definite() @ v, zero, 10), zero)


def step_of(objective: Objective, start: Tensor, plan: TrustRegionPlan) -> TrustRegionStep:
    """A step with the Hessian of the KL as the Fisher matrix."""
    hessian: Tensor = torch.func.hessian(lambda parameters: objective(parameters)[1])(start)
    return trust_region_step(objective, lambda vector: hessian @ vector, start, plan)


def test_with_a_linear_loss_and_a_quadratic_kl_the_step_is_the_longest_natural_one() -> None:
    fisher, slope, start = positive_definite(), vector(1), vector(2)

    def objective(parameters: Tensor) -> tuple[Tensor, Tensor]:
        moved = parameters - start
        return slope @ moved, 0.5 * moved @ fisher @ moved

    plan = TrustRegionPlan(max_kl=0.02, conjugate_gradient_steps=2 * SIZE, damping=0.0)
    found = step_of(objective, start, plan)
    natural = torch.linalg.solve(fisher, slope)
    longest = -natural * (2 * 0.02 / (slope @ natural)).sqrt()
    ratios = found.step / longest
    torch.testing.assert_close(ratios, ratios[:1].expand(SIZE))
    tries = torch.log(ratios[0]) / torch.log(torch.tensor(0.8))  # the first is at the limit, give or take rounding
    assert round(float(tries), 6) in {0.0, 1.0}
    assert float(found.kl) <= 0.02
    torch.testing.assert_close(found.kl, 0.02 * ratios[0] ** 2)
    torch.testing.assert_close(found.gradient_norm, slope.norm())
    assert found.found


def test_damping_is_added_to_the_diagonal_of_the_fisher_matrix() -> None:
    fisher, slope = positive_definite(), vector(1)

    def objective(parameters: Tensor) -> tuple[Tensor, Tensor]:
        return slope @ parameters, 0.5 * parameters @ fisher @ parameters

    plan = TrustRegionPlan(conjugate_gradient_steps=2 * SIZE, damping=3.0)
    found = step_of(objective, torch.zeros(SIZE, dtype=torch.float64), plan)
    damped = -torch.linalg.solve(fisher + 3.0 * torch.eye(SIZE, dtype=torch.float64), slope)
    torch.testing.assert_close(found.step / found.step.norm(), damped / damped.norm())


def test_ranks_with_objectives_of_their_own_take_the_step_for_the_mean_of_them() -> None:
    fishers, slopes = [positive_definite(seed) for seed in (0, 7)], [vector(1), vector(4)]

    def objective(fisher: Tensor, slope: Tensor) -> Objective:
        return lambda parameters: (slope @ parameters, 0.5 * parameters @ fisher @ parameters)

    start, plan = torch.zeros(SIZE, dtype=torch.float64), TrustRegionPlan(conjugate_gradient_steps=2 * SIZE)
    mean = objective((fishers[0] + fishers[1]) / 2, (slopes[0] + slopes[1]) / 2)
    expected = step_of(mean, start, plan)

    def step(rank: int) -> None:
        found = step_of(objective(fishers[rank], slopes[rank]), start, plan)
        torch.testing.assert_close(found.step, expected.step)
        torch.testing.assert_close((found.loss, found.kl), (expected.loss, expected.kl))

    assert in_ranks(connected(step)) == [0, 0]


def curved(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """A KL that its curvature at the start underrates, so that the first steps that are tried are too long."""
    return parameters.sum(), 0.5 * parameters.square().sum() + 50.0 * parameters.square().sum() ** 2


def test_steps_are_shortened_until_the_kl_limit_holds() -> None:
    start = torch.zeros(SIZE, dtype=torch.float64)
    plan = TrustRegionPlan(max_kl=0.5)
    found = step_of(curved, start, plan)
    longer = found.step / plan.backtrack_ratio
    assert found.found
    assert float(found.kl) <= 0.5 < float(curved(longer)[1])


def test_where_no_step_helps_there_is_none() -> None:
    def objective(parameters: Tensor) -> tuple[Tensor, Tensor]:
        moved = float(bool((parameters.detach() != 0).any()))
        return parameters.sum() + 10.0 * moved, 0.5 * parameters.square().sum()

    found = step_of(objective, torch.zeros(SIZE), TrustRegionPlan())
    assert not found.found
    assert torch.equal(found.step, torch.zeros(SIZE))
    assert float(found.loss) == 0.0
    assert float(found.kl) == 0.0


@pytest.mark.parametrize("broken", ["loss", "kl"])
def test_a_step_to_numbers_that_are_not_finite_is_none(broken: str) -> None:
    def objective(parameters: Tensor) -> tuple[Tensor, Tensor]:
        moved = bool((parameters.detach() != 0).any())
        loss, kl = parameters.sum(), 0.5 * parameters.square().sum()
        return (loss * torch.nan, kl) if moved and broken == "loss" else (loss, kl * torch.nan if moved else kl)

    assert not step_of(objective, torch.zeros(SIZE), TrustRegionPlan()).found


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"max_kl": 0.0}, "max_kl"),
        ({"max_kl": torch.inf}, "max_kl"),
        ({"damping": -1.0}, "damping"),
        ({"damping": torch.inf}, "damping"),
        ({"conjugate_gradient_steps": 0}, "conjugate_gradient_steps"),
        ({"backtracks": 0}, "backtracks"),
        ({"backtrack_ratio": 1.0}, "backtrack_ratio"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigurationError, match=key):
        TrustRegionPlan(**settings)
