"""Policy and value as towers of their own over one embedding."""

from __future__ import annotations

import torch

from envs import PointRobot
from lit_metarl.networks import ActorCritic, NetworkPlan, action_distribution, initialized


def build() -> ActorCritic:
    torch.manual_seed(0)
    actions = action_distribution(
        PointRobot.meta_spec, 8, 0.5, "clip", lambda layer: initialized(layer, "orthogonal", gain=1.0)
    )
    return ActorCritic(3, 4, 5, None, [6, 8], NetworkPlan("tanh"), "orthogonal", actions)


def test_an_evaluation_is_of_the_features_that_act_and_of_the_value() -> None:
    network = build()
    inputs, raw = torch.randn(10, 7), torch.randn(10, 2)
    log_probability, entropy, value = network(inputs, raw)
    acted = network.actions.log_prob_and_entropy(network.policy_features(inputs), raw)
    torch.testing.assert_close((log_probability, entropy), acted)
    torch.testing.assert_close(value, network.value(network.critic(network.embed(inputs)))[:, 0])


def test_policy_and_value_share_the_embedding_but_no_layer() -> None:
    network = build()
    _, _, value = network(torch.randn(10, 7), torch.randn(10, 2))
    value.sum().backward()
    learned = {name.split(".")[0] for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert learned == {"state", "critic", "value"}
