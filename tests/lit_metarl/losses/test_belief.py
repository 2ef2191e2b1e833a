"""VariBAD's KL and reward terms against torch.distributions."""

from __future__ import annotations

import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from lit_metarl.losses.belief import consecutive_kl, reward_error


def test_each_posterior_is_measured_against_the_one_before_and_the_first_against_the_standard_normal() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = (torch.randn(3, 7, 4, generator=generator) for _ in range(2))

    def belief(time: int) -> Independent:
        if time < 0:
            return Independent(Normal(torch.zeros(3, 4), torch.ones(3, 4)), 1)
        return Independent(Normal(mean[:, time], (0.5 * log_variance[:, time]).exp()), 1)

    expected = torch.stack([kl_divergence(belief(time), belief(time - 1)) for time in range(7)], 1)
    torch.testing.assert_close(consecutive_kl(mean, log_variance), expected)


def test_reward_errors_are_negative_log_likelihoods() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randn(5, 4, generator=generator)
    reward = torch.tensor([-0.1, 1.0, 0.0, 2.5]).expand(5, 4)
    likelihood = Normal(predicted, 1.0).log_prob(reward)
    at_best = Normal(reward, 1.0).log_prob(reward)
    torch.testing.assert_close(reward_error(predicted, reward, "gaussian"), 2.0 * (at_best - likelihood))
    positive = torch.tensor([0.0, 1.0, 0.0, 1.0]).expand(5, 4)
    expected = -Bernoulli(logits=predicted).log_prob(positive)
    torch.testing.assert_close(reward_error(predicted, reward, "bernoulli"), expected)
