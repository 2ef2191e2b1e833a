"""The squashed Gaussian policy against torchrl's and against quadrature."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchrl.modules import TanhNormal

from lit_metarl.networks.tanh_gaussian import MAX_LOG_STD, MIN_LOG_STD, TanhGaussianPolicy, bounded, squash


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_log_probabilities_agree_with_torchrls_tanh_normal() -> None:
    mean, log_std, noise = random(6, 7, 3, seed=0), 0.5 * random(6, 7, 3, seed=1), random(6, 7, 3, seed=2)
    action, log_prob = squash(mean, log_std, noise)
    reference = TanhNormal(mean, log_std.exp(), low=-1.0, high=1.0, safe_tanh=False)
    assert action.shape == (6, 7, 3)
    assert log_prob.shape == (6, 7)
    torch.testing.assert_close(log_prob, reference.log_prob(action), rtol=1e-6, atol=1e-6)


def test_the_density_over_actions_integrates_to_one() -> None:
    """∫ p(a) da over a = tanh(x), by the trapezoid rule in x."""
    mean, log_std = torch.tensor([0.4], dtype=torch.float64), torch.tensor([-0.3], dtype=torch.float64)
    noise = torch.linspace(-9, 9, 40_001, dtype=torch.float64)[:, None]
    action, log_prob = squash(mean, log_std, noise)
    assert np.trapezoid(log_prob.exp().numpy(), action[:, 0].numpy()) == pytest.approx(1.0, abs=1e-5)


def test_log_probabilities_stay_exact_where_tanh_saturates() -> None:
    """For |x| = 30, log(1 − tanh² x) = 2 log 2 − 2|x| up to e^-60, though tanh rounds to ±1."""
    mean = torch.tensor([30.0, -30.0], dtype=torch.float64)[:, None]
    _, log_prob = squash(mean, torch.zeros(2, 1, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64))
    expected = -0.5 * np.log(2 * np.pi) - 2 * np.log(2) + 60
    assert log_prob.tolist() == pytest.approx([expected, expected])


def test_the_action_gradient_is_reparameterized() -> None:
    mean, log_std = (random(4, 2, seed=seed).requires_grad_() for seed in range(2))
    noise = random(4, 2, seed=2)
    assert torch.autograd.gradcheck(lambda m, s: squash(m, s, noise), (mean, log_std))


def test_samples_have_the_moments_of_the_squashed_gaussian() -> None:
    mean, log_std = torch.tensor([0.5], dtype=torch.float64), torch.tensor([-1.0], dtype=torch.float64)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    exact = (weights * np.tanh(0.5 + np.exp(-1.0) * nodes)).sum() / np.sqrt(2 * np.pi)
    action, _ = squash(mean, log_std, random(40_000, 1, seed=5))
    assert float(action.mean()) == pytest.approx(exact, abs=0.006)  # four standard errors


def test_the_policys_deviation_is_bounded() -> None:
    policy = TanhGaussianPolicy(2, 1, [4])
    _, low = policy(torch.full((1, 2), -1e6))
    _, high = policy(torch.full((1, 2), 1e6))
    for log_std in (low, high):
        assert MIN_LOG_STD <= log_std.item() <= MAX_LOG_STD
    _, published = bounded(torch.tensor([[0.0, -100.0], [0.0, 1.5], [0.0, 100.0]]))
    assert published[:, 0].tolist() == [-20.0, 1.5, 2.0]


@pytest.fixture
def policy() -> TanhGaussianPolicy:
    torch.manual_seed(0)
    return TanhGaussianPolicy(5, 3, [16, 16])


def test_a_sample_follows_from_the_forward_pass_and_the_callers_noise(policy: TanhGaussianPolicy) -> None:
    inputs, noise = torch.randn(4, 6, 5), torch.randn(4, 6, 3)
    mean, log_std = policy(inputs)
    sample = policy.sample(inputs, noise)
    torch.testing.assert_close(sample.action, torch.tanh(mean + log_std.exp() * noise))
    reference = TanhNormal(mean, log_std.exp(), low=-1.0, high=1.0, safe_tanh=False)
    torch.testing.assert_close(sample.log_prob, reference.log_prob(sample.action), rtol=1e-3, atol=1e-3)
    assert torch.equal(sample.mean, mean)
    assert torch.equal(sample.log_std, log_std)


def test_the_mode_is_torchrls_deterministic_sample(policy: TanhGaussianPolicy) -> None:
    inputs = torch.randn(10, 5)
    mean, log_std = policy(inputs)
    reference = TanhNormal(mean, log_std.exp(), low=-1.0, high=1.0)
    torch.testing.assert_close(policy(inputs)[0].tanh(), reference.deterministic_sample)


def test_sampling_leaves_the_global_generator_alone(policy: TanhGaussianPolicy) -> None:
    inputs, noise = torch.randn(4, 5), torch.randn(4, 3)
    before = torch.get_rng_state()
    first, second = policy.sample(inputs, noise), policy.sample(inputs, noise)
    assert torch.equal(first.action, second.action)
    assert torch.equal(torch.get_rng_state(), before)
