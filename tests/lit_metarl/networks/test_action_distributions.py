"""Distributions over actions against torch.distributions."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Independent, Normal, kl_divergence

from lit_metarl.networks import CategoricalActions, GaussianActions, initialized
from lit_metarl.networks.action_distributions import ActionBounds

FEATURES, ACTIONS = 6, 3


def gaussian(bounds: ActionBounds = "clip") -> GaussianActions:
    torch.manual_seed(0)
    return GaussianActions(FEATURES, ACTIONS, 0.7, bounds, lambda layer: initialized(layer, "normc", 1.0))


def categorical() -> CategoricalActions:
    torch.manual_seed(0)
    actions = CategoricalActions(FEATURES, ACTIONS)
    nn.init.normal_(actions.logits.weight)
    return actions


@torch.no_grad()
def test_choices_are_scored_as_torch_does_and_sampled_as_often_as_scored() -> None:
    actions, features = categorical(), torch.randn(1, FEATURES)
    reference = Categorical(logits=actions.logits(features))
    samples = actions.sample(actions(features).expand(20_000, -1), False, torch.Generator().manual_seed(1))
    assert (samples.sum(-1) == 1).all()
    torch.testing.assert_close(samples.mean(0), reference.probs[0], atol=0.02, rtol=0)
    log_probability, entropy = actions.log_prob_and_entropy(features.expand(ACTIONS, -1), torch.eye(ACTIONS))
    torch.testing.assert_close(log_probability, reference.log_prob(torch.arange(ACTIONS)))
    torch.testing.assert_close(entropy, reference.entropy().expand(ACTIONS))
    assert int(actions.sample(actions(features), True, torch.Generator()).argmax()) == int(reference.probs.argmax())


@pytest.mark.parametrize("actions", [gaussian(), gaussian("tanh"), categorical()])
@pytest.mark.parametrize("deterministic", [False, True])
@torch.no_grad()
def test_the_sampler_of_an_episode_gives_the_samples_of_the_distribution(
    actions: GaussianActions | CategoricalActions, deterministic: bool
) -> None:
    features = torch.randn(5, FEATURES)
    sampled = actions.sampler()(features, deterministic, torch.Generator().manual_seed(1))
    expected = actions.sample(actions(features), deterministic, torch.Generator().manual_seed(1))
    torch.testing.assert_close(sampled, expected)


@torch.no_grad()
def test_at_the_start_all_choices_are_nearly_equal() -> None:
    _, entropy = CategoricalActions(FEATURES, ACTIONS).log_prob_and_entropy(
        torch.randn(5, FEATURES), torch.eye(ACTIONS)[[0] * 5]
    )
    torch.testing.assert_close(entropy, torch.full((5,), ACTIONS).log(), atol=1e-2, rtol=0)


@torch.no_grad()
def test_gaussian_actions_are_scored_as_torch_does() -> None:
    actions, features, raw = gaussian(), torch.randn(5, FEATURES), torch.randn(5, ACTIONS)
    reference = Independent(Normal(actions.mean(features), actions.log_std.exp()), 1)
    log_probability, entropy = actions.log_prob_and_entropy(features, raw)
    torch.testing.assert_close(log_probability, reference.log_prob(raw))
    torch.testing.assert_close(entropy, reference.entropy())
    samples = actions.sample(actions(features[:1]).expand(20_000, -1), False, torch.Generator().manual_seed(1))
    torch.testing.assert_close(samples.std(0), torch.full((ACTIONS,), 0.7), atol=0.02, rtol=0)
    torch.testing.assert_close(actions.sample(actions(features), True, torch.Generator()), actions.mean(features))


@pytest.mark.parametrize("bounds", ["clip", "tanh"])
def test_actions_are_brought_into_the_bounds(bounds: ActionBounds) -> None:
    applied = gaussian(bounds).applied(torch.tensor([-9.0, 0.0, 9.0]))
    assert applied[1] == 0
    torch.testing.assert_close(applied[[0, 2]], torch.tensor([-1.0, 1.0]), atol=1e-6, rtol=0)


def test_initialized_rows_have_the_norm_of_the_gain_or_are_orthogonal() -> None:
    normc = initialized(nn.Linear(7, 4), "normc", 2.0).weight
    torch.testing.assert_close(normc.norm(dim=1), torch.full((4,), 2.0))
    orthogonal = initialized(nn.Linear(7, 4), "orthogonal", 2.0).weight
    torch.testing.assert_close(orthogonal @ orthogonal.T, 4.0 * torch.eye(4), atol=1e-5, rtol=0)


def test_divergences_are_torchs() -> None:
    old, new = torch.randn(2, 5, ACTIONS, generator=torch.Generator().manual_seed(0))
    expected = kl_divergence(Categorical(logits=old), Categorical(logits=new))
    torch.testing.assert_close(categorical().kl(old, new), expected)
    old, new = torch.randn(2, 5, 2 * ACTIONS, generator=torch.Generator().manual_seed(1))
    gaussians = [Independent(Normal(*_mean_and_std(values)), 1) for values in (old, new)]
    torch.testing.assert_close(gaussian().kl(old, new), kl_divergence(*gaussians))


def _mean_and_std(distribution: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean, log_std = distribution.chunk(2, -1)
    return mean, log_std.exp()
