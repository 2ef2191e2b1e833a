"""MPTS's selection by its acquisition function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from datamodules.tasks import MPTSSampler
from envs import ConfigurationError, PointRobot


def make_sampler(**settings: Any) -> MPTSSampler:
    sampler = MPTSSampler(**settings)
    sampler.bind(PointRobot.meta_spec, PointRobot.task_distribution, 0, 0)
    return sampler


@pytest.mark.parametrize(("mean_weight", "std_weight"), [(1.0, 5.0), (1.0, 0.0), (0.0, 1.0)])
def test_the_candidates_with_the_largest_upper_confidence_bound_are_selected(
    mean_weight: float, std_weight: float
) -> None:
    sampler = make_sampler(mean_weight=mean_weight, std_weight=std_weight, posterior_samples=6)
    for _ in range(3):
        sampled = sampler.sample(20)
        sampler.update(sampled, sampled.tasks[:, 0])
    candidates = torch.rand(30, 2, generator=torch.Generator().manual_seed(1))
    state = sampler.generator.get_state()
    selected = sampler.select(candidates, 10)
    sampler.generator.set_state(state)
    risks = sampler.predictor.sample_risks(candidates, 6, sampler.generator).double().numpy()
    bounds = []
    for of_candidate in risks.T:
        mean = sum(of_candidate) / 6
        bounds.append(mean_weight * mean + std_weight * np.sqrt(sum((of_candidate - mean) ** 2) / 5))
    assert set(selected.tolist()) == set(np.argsort(bounds)[-10:].tolist())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mean_weight", -1.0),
        ("mean_weight", float("nan")),
        ("std_weight", float("inf")),
        ("std_weight", -0.1),
        ("posterior_samples", 1),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(key: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"MPTSSampler: {key} = {value}"):
        MPTSSampler(**{key: value})
