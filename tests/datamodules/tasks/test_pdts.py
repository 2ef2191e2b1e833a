"""PDTS's selection against its formula and against all subsets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.tasks import PDTSSampler
from datamodules.tasks.pdts import select_risky_and_diverse
from envs import ConfigurationError, PointRobot


def risks_and_points(seed: int, n: int, dim: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, generator=generator), torch.rand(n, dim, generator=generator)


def greedily(risks: np.ndarray, points: np.ndarray, n: int, weight: float) -> list[int]:
    """The formula, candidate by candidate."""
    selected: list[int] = []
    while len(selected) < n:
        gains = {}
        for row in set(range(len(risks))) - set(selected):
            nearest = min((float(np.linalg.norm(points[row] - points[other])) for other in selected), default=0.0)
            gains[row] = risks[row] / 2 + weight * nearest
        selected.append(max(gains, key=gains.__getitem__))
    return selected


def smallest_distance(points: Tensor) -> float:
    return float(torch.pdist(points).min())


@pytest.mark.parametrize("weight", [0.0, 0.05, 1.0, 8.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_selection_is_the_greedy_one_of_the_formula(seed: int, weight: float) -> None:
    risks, points = risks_and_points(seed, 40)
    selected = select_risky_and_diverse(risks, points, 12, weight)
    assert selected.tolist() == greedily(risks.double().numpy(), points.double().numpy(), 12, weight)


def test_without_a_weight_for_diversity_the_riskiest_are_selected() -> None:
    risks, points = risks_and_points(0, 50)
    assert select_risky_and_diverse(risks, points, 10, 0.0).tolist() == risks.topk(10).indices.tolist()


@pytest.mark.parametrize("seed", range(10))
def test_for_diversity_alone_the_smallest_distance_is_at_least_half_of_the_best_of_all_subsets(seed: int) -> None:
    """The guarantee of the greedy approximation of max-min diversification, which is the one that is used."""
    _, points = risks_and_points(seed, 12)
    selected = select_risky_and_diverse(torch.zeros(12), points, 4, 1.0)
    best = max(smallest_distance(points[list(rows)]) for rows in combinations(range(12), 4))
    assert best / 2 <= smallest_distance(points[selected]) <= best + 1e-6


def test_all_points_can_be_selected_each_once_even_if_they_are_the_same() -> None:
    assert sorted(select_risky_and_diverse(torch.zeros(5), torch.zeros(5, 2), 5, 1.0).tolist()) == list(range(5))


def test_a_task_is_selected_by_a_single_sample_of_the_latent_variable() -> None:
    sampler = PDTSSampler(diversity_weight=0.5)
    sampler.bind(PointRobot.meta_spec, PointRobot.task_distribution, 0, 0)
    _, candidates = risks_and_points(0, 100)
    state = sampler.generator.get_state()
    selected = sampler.select(candidates, 7)
    sampler.generator.set_state(state)
    risks = sampler.predictor.sample_risks(candidates, 1, sampler.generator)[0]
    assert selected.tolist() == greedily(risks.double().numpy(), candidates.double().numpy(), 7, 0.5)


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
def test_a_weight_out_of_range_is_refused_by_name(value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"PDTSSampler: diversity_weight = {value}"):
        PDTSSampler(diversity_weight=value)
