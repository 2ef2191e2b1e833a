"""VariBAD's KL terms against torch.distributions."""

from __future__ import annotations

import torch
from torch.distributions import Independent, Normal, kl_divergence

from lit_metarl.losses.belief import consecutive_kl


def test_each_posterior_is_measured_against_the_one_before_and_the_first_against_the_standard_normal() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = (torch.randn(3, 7, 4, generator=generator) for _ in range(2))

    def belief(time: int) -> Independent:
        if time < 0:
            return Independent(Normal(torch.zeros(3, 4), torch.ones(3, 4)), 1)
        return Independent(Normal(mean[:, time], (0.5 * log_variance[:, time]).exp()), 1)

    expected = torch.stack([kl_divergence(belief(time), belief(time - 1)) for time in range(7)], 1)
    torch.testing.assert_close(consecutive_kl(mean, log_variance), expected)
