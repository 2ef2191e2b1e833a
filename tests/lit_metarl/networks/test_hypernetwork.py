"""Layers that a hypernetwork generates: as one layer for every row, and all alike at the start."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from datamodules.collection import as_sequences
from envs import ConfigurationError, GridNavi, MetaEnv, PointRobot
from lit_metarl.algorithms import RL2, OnPolicyModule, VariBAD
from lit_metarl.networks import ActorCritic, GeneratedLinear, HypernetworkPlan, NetworkPlan
from tests.lit_metarl.algorithms.test_on_policy import build, collect

INPUTS, OUTPUTS, EMBEDDING = 3, 4, 5
GENERATED = HypernetworkPlan(enabled=True)
CONTINUOUS_AND_DISCRETE = pytest.mark.parametrize("env_class", [PointRobot, GridNavi])
ALGORITHMS = pytest.mark.parametrize("algorithm", [RL2, VariBAD])


def randomized(module: nn.Module) -> None:
    """Let every embedding have layers of its own."""
    for name, parameter in module.named_parameters():
        if name.endswith("hyper_weight"):
            nn.init.normal_(parameter)


def generated(layer: GeneratedLinear, embedding: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer for one embedding, number by number."""
    rows = layer.hyper_weight.view(layer.out_features, layer.in_features + 1, -1)
    weight = [[float(w + row @ embedding) for w, row in zip(*pair)] for pair in zip(layer.weight, rows[:, :-1])]
    bias = [float(b + row @ embedding) for b, row in zip(layer.bias, rows[:, -1])]
    return torch.tensor(weight), torch.tensor(bias)


@torch.no_grad()
def test_a_batch_is_evaluated_as_one_layer_for_every_row() -> None:
    torch.manual_seed(0)
    layer = GeneratedLinear(INPUTS, OUTPUTS, EMBEDDING)
    randomized(layer)
    inputs, embedding = torch.randn(2, 6, INPUTS), torch.randn(2, 6, EMBEDDING)
    outputs = layer(torch.cat((inputs, embedding), -1))
    for trial in range(2):
        for row in range(6):
            expected = functional.linear(inputs[trial, row], *generated(layer, embedding[trial, row]))
            torch.testing.assert_close(outputs[trial, row], expected)


def on_policy(algorithm: type[OnPolicyModule], env_class: type[MetaEnv], **settings: Any) -> OnPolicyModule:
    return build(algorithm, env_class, hypernetwork=GENERATED, **settings)


def seen(model: OnPolicyModule, rows: int = 8) -> tuple[Tensor, Tensor]:
    """Random states and beliefs."""
    return torch.randn(rows, model.state_dim), torch.randn(rows, model.belief_dim)


def plain(tower: nn.Sequential, last: nn.Module, state: Tensor, belief: Tensor) -> Tensor:
    """Towers row by row, with `functional.linear`."""
    rows = []
    for hidden, embedding in zip(state, belief):
        for layer in tower:
            linear, *between = layer.layers
            hidden = nn.Sequential(*between)(functional.linear(hidden, *generated(linear, embedding))[None])[0]
        rows.append(functional.linear(hidden, *generated(last, embedding)))
    return torch.stack(rows)


def last_layer(network: ActorCritic) -> nn.Module:
    """The policy's last layer: that of the mean, or of the logits."""
    return next(module for module in network.actions.children() if isinstance(module, GeneratedLinear))


@CONTINUOUS_AND_DISCRETE
@pytest.mark.parametrize("network", [NetworkPlan("tanh"), NetworkPlan("silu", "all")])
@torch.no_grad()
def test_policy_and_value_are_those_of_a_plain_network_for_every_row(
    env_class: type[MetaEnv], network: NetworkPlan
) -> None:
    model = on_policy(RL2, env_class, network=network)
    randomized(model)
    both, state, belief = model.actor_critic, *seen(model)
    inputs = torch.cat((state, belief), -1)
    embedded = both.state(state), both.belief(belief)
    distribution = both.actions(both.policy_features(inputs))
    expected = plain(both.actor, last_layer(both), *embedded)
    torch.testing.assert_close(distribution[:, : expected.shape[1]], expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        both.values(inputs), plain(both.critic, both.value, *embedded)[:, 0], rtol=1e-4, atol=1e-4
    )


@CONTINUOUS_AND_DISCRETE
@ALGORITHMS
@torch.no_grad()
def test_at_the_start_all_beliefs_have_the_policy_of_the_hypernetworks_bias(
    algorithm: type[OnPolicyModule], env_class: type[MetaEnv]
) -> None:
    model = on_policy(algorithm, env_class)
    both, state, belief = model.actor_critic, *seen(model)
    hidden = both.state(state)
    for layer in both.actor:
        linear, *between = layer.layers
        assert float(linear.weight.norm(dim=1).sub(5 / 3).abs().max()) < 1e-5  # normc with tanh's gain, as a plain one
        hidden = nn.Sequential(*between)(functional.linear(hidden, linear.weight, linear.bias))
    last: Any = last_layer(both)
    expected = functional.linear(hidden, last.weight, last.bias)
    for other in (belief, -belief, 100.0 * belief):
        distribution = both.actions(both.policy_features(torch.cat((state, other), -1)))
        assert torch.equal(distribution[:, : expected.shape[1]], expected)


def test_gradients_reach_the_recurrent_encoder_after_the_first_step() -> None:
    model = on_policy(RL2, GridNavi)
    trials = collect(model)
    samples = model.policy_samples(as_sequences(trials), trials.returns)
    optimizer = torch.optim.SGD(model.policy_parameters(), 0.1)
    reached = []
    for _ in range(2):
        optimizer.zero_grad()
        model.policy_losses(samples).sum().backward()
        reached.append([bool(parameter.grad.any()) for parameter in model.encoder.parameters()])
        optimizer.step()
    assert not any(reached[0])  # all beliefs have the same policy
    assert all(reached[1])


@CONTINUOUS_AND_DISCRETE
@ALGORITHMS
def test_the_policy_that_acts_is_the_one_that_learns(algorithm: type[OnPolicyModule], env_class: type[MetaEnv]) -> None:
    model = on_policy(algorithm, env_class)
    randomized(model)
    inputs = torch.cat(seen(model), -1)
    acting = model._acting_networks()
    with torch.no_grad():
        sampled = acting.sample(acting.policy_features(inputs), True, torch.Generator())
        distribution = model.actor_critic.actions(model.actor_critic.policy_features(inputs))
        expected = model.actor_critic.actions.sample(distribution, True, torch.Generator())
    torch.testing.assert_close(sampled, expected)


@pytest.mark.parametrize("algorithm", [RL2, VariBAD])
def test_too_many_generated_weights_are_refused_with_their_number(algorithm: type[OnPolicyModule]) -> None:
    hidden = 65 * 100 + 101 * 30
    weights = (hidden + 31 * PointRobot.meta_spec.action_dim) + (hidden + 31)
    sizes: dict[str, Any] = {"layers": [100, 30], "policy_state_embedding": 64}
    build(algorithm, PointRobot, **sizes, hypernetwork=HypernetworkPlan(True, weights))
    with pytest.raises(ConfigurationError, match=rf"max_weights = {weights - 1} .* would generate {weights} weights"):
        build(algorithm, PointRobot, **sizes, hypernetwork=HypernetworkPlan(True, weights - 1))


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="max_weights = 0"):
        HypernetworkPlan(max_weights=0)
