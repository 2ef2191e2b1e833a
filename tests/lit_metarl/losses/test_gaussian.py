"""Beliefs as products of Gaussian factors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from lit_metarl.losses.gaussian import kl_to_standard_normal, mean_of_valid, product_of_gaussians


def random_factors(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return means, torch.rand(*shape, generator=generator, dtype=torch.float64) + 0.1


def test_the_product_is_the_normalized_product_of_the_densities() -> None:
    means, variances = random_factors(4, 1)
    grid = np.linspace(-8, 8, 200_001)
    density = np.ones_like(grid)
    for mean, variance in zip(means[:, 0].numpy(), variances[:, 0].numpy()):
        density *= np.exp(-0.5 * (grid - mean) ** 2 / variance)
    density /= density.sum()
    expected_mean = (density * grid).sum()
    expected_variance = (density * (grid - expected_mean) ** 2).sum()
    mean, variance = product_of_gaussians(means, variances)
    assert mean.item() == pytest.approx(expected_mean, abs=1e-8)
    assert variance.item() == pytest.approx(expected_variance, rel=1e-8)


def test_leading_and_latent_dimensions_are_independent() -> None:
    means, variances = random_factors(2, 3, 5, 4)
    mean, variance = product_of_gaussians(means, variances)
    assert mean.shape == variance.shape == (2, 3, 4)
    for index in np.ndindex(2, 3, 4):
        *batch, latent = index
        precisions = [1 / float(variances[(*batch, factor, latent)]) for factor in range(5)]
        weighted = [p * float(means[(*batch, factor, latent)]) for factor, p in enumerate(precisions)]
        assert float(variance[index]) == pytest.approx(1 / sum(precisions))
        assert float(mean[index]) == pytest.approx(sum(weighted) / sum(precisions))


def test_masked_factors_do_not_count() -> None:
    means, variances = random_factors(2, 6, 3)
    valid = torch.tensor([[1, 1, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0]], dtype=torch.bool)
    mean, variance = product_of_gaussians(means, variances, valid)
    for row in range(2):
        expected = product_of_gaussians(means[row, valid[row]], variances[row, valid[row]])
        torch.testing.assert_close((mean[row], variance[row]), expected)
    assert torch.allclose(mean[1], means[1, 4])
    assert torch.allclose(variance[1], variances[1, 4])


def test_without_any_valid_factor_the_belief_is_the_prior() -> None:
    means, variances = random_factors(2, 3, 4)
    valid = torch.tensor([[False] * 3, [True] * 3])
    mean, variance = product_of_gaussians(means, variances, valid)
    assert mean[0].tolist() == [0.0] * 4
    assert variance[0].tolist() == [1.0] * 4
    torch.testing.assert_close((mean[1], variance[1]), product_of_gaussians(means[1], variances[1]))


def test_the_order_of_the_factors_does_not_matter() -> None:
    means, variances = random_factors(50, 5)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        product_of_gaussians(means[order], variances[order]), product_of_gaussians(means, variances)
    )


def test_a_vanishing_variance_is_raised_to_the_floor() -> None:
    means, variances = torch.tensor([[2.0], [0.0]]), torch.tensor([[0.0], [1.0]])
    mean, variance = product_of_gaussians(means, variances)
    assert variance.item() == pytest.approx(1e-7, rel=1e-4)
    assert mean.item() == pytest.approx(2.0, rel=1e-5)


def test_gradients_are_exact_and_masked_factors_get_none() -> None:
    means, variances = (tensor.requires_grad_() for tensor in random_factors(2, 3, 2))
    valid = torch.tensor([[True, False, True], [False, False, False]])
    assert torch.autograd.gradcheck(lambda m, v: product_of_gaussians(m, v, valid), (means, variances))
    mean, variance = product_of_gaussians(means, variances, valid)
    (mean.sum() + variance.sum()).backward()
    assert not bool(means.grad[~valid].any())
    assert not bool(variances.grad[~valid].any())
    assert bool((means.grad[valid] != 0).all())


def test_kl_to_the_prior_agrees_with_torch_distributions() -> None:
    mean, variance = random_factors(3, 7, 5)
    expected = kl_divergence(Normal(mean, variance.sqrt()), Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(kl_to_standard_normal(mean, variance), expected)


def test_kl_of_the_prior_to_itself_is_zero_and_positive_elsewhere() -> None:
    assert kl_to_standard_normal(torch.zeros(5), torch.ones(5)).item() == 0.0
    mean, variance = random_factors(100, 5)
    assert bool((kl_to_standard_normal(mean, variance) > 0).all())


def test_the_mean_counts_valid_vectors_only_and_is_zero_without_any() -> None:
    vectors, _ = random_factors(3, 4, 2)
    valid = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=torch.bool)
    mean = mean_of_valid(vectors, valid)
    torch.testing.assert_close(mean[0], vectors[0, [0, 2, 3]].mean(0))
    torch.testing.assert_close(mean[1], vectors[1, 3])
    assert mean[2].tolist() == [0.0, 0.0]
    torch.testing.assert_close(mean_of_valid(vectors), vectors.mean(-2))
