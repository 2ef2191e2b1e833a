"""Activations and normalization are those of the settings, in every algorithm."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import nn

from envs import ConfigurationError
from lit_metarl.algorithms import MAML, PEARL, RL2, MetaRLModule, VariBAD
from lit_metarl.networks import Activation, NetworkPlan, build_mlp, evaluate_frozen
from lit_metarl.networks.network_plan import ACTIVATIONS
from tests.tiny import tiny_agent, tiny_data, tiny_trainer

ALGORITHMS: list[type[MetaRLModule]] = [PEARL, VariBAD, RL2, MAML]
AFTER_LAYERS = {PEARL: ["encoder", "policy", "critics", "value"], VariBAD: ["actor_critic"], RL2: ["actor_critic"]}


def parts_with(agent: nn.Module, kind: type[nn.Module]) -> set[str]:
    """The parts of an algorithm that hold a module of a kind: two levels of names where the first holds several."""
    names = [name for name, module in agent.named_modules() if isinstance(module, kind)]
    return {".".join(name.split(".")[:2]) if name.startswith("actor_critic") else name.split(".")[0] for name in names}


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_algorithm_learns_with_every_activation(algorithm: type[MetaRLModule], activation: Activation) -> None:
    agent = tiny_agent(algorithm, network=NetworkPlan(activation, "all"))
    before = [parameter.clone() for parameter in agent.parameters()]
    assert parts_with(agent, ACTIVATIONS[activation])
    tiny_trainer(max_epochs=1, limit_val_batches=0).fit(agent, datamodule=tiny_data())
    assert any(not torch.equal(old, new) for old, new in zip(before, agent.parameters()))


@pytest.mark.parametrize(
    ("algorithm", "normalization", "normalized"),
    [
        (PEARL, "none", set()),
        (PEARL, "critics", {"critics", "value", "target_value"}),
        (PEARL, "all", {"critics", "value", "target_value", "policy", "encoder"}),
        (VariBAD, "critics", {"actor_critic.critic"}),
        (RL2, "all", {"actor_critic.critic", "actor_critic.actor"}),
        (MAML, "all", {"policy"}),
    ],
)
def test_those_networks_are_normalized_that_the_setting_names(
    algorithm: type[MetaRLModule], normalization: Any, normalized: set[str]
) -> None:
    agent = tiny_agent(algorithm, network=NetworkPlan(normalization=normalization))
    assert parts_with(agent, nn.LayerNorm) == normalized


def test_normalization_comes_before_the_activation_and_not_after_the_last_layer() -> None:
    network = build_mlp(3, 2, [5, 4], NetworkPlan("silu", "critics"), critic=True)
    kinds = [type(module) for module in network]
    assert kinds == [nn.Linear, nn.LayerNorm, nn.SiLU, nn.Linear, nn.LayerNorm, nn.SiLU, nn.Linear]
    assert [module.normalized_shape for module in network if isinstance(module, nn.LayerNorm)] == [(5,), (4,)]


def test_normalization_changes_no_initial_weight() -> None:
    weights = []
    for plan in (NetworkPlan(), NetworkPlan(normalization="all")):
        torch.manual_seed(0)
        weights.append([m.weight for m in tiny_agent(network=plan).modules() if isinstance(m, nn.Linear)])
    assert all(torch.equal(plain, normalized) for plain, normalized in zip(*weights))


def test_normalized_critics_hear_the_size_of_an_action_they_never_saw_less() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(64, 4)
    far = 100.0 * inputs

    def growth(plan: NetworkPlan) -> float:
        network = build_mlp(4, 1, [64, 64], plan, critic=True)
        return float((network(far).abs().mean() / network(inputs).abs().mean()).detach())

    assert growth(NetworkPlan()) > 20.0
    assert growth(NetworkPlan(normalization="critics")) < 4.0


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("critic", [False, True])
def test_frozen_evaluation_gives_the_networks_own_outputs(activation: Activation, critic: bool) -> None:
    torch.manual_seed(0)
    network = build_mlp(5, 3, [16, 8, 16], NetworkPlan(activation, "critics"), critic)
    for module in network:
        if isinstance(module, nn.LayerNorm):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    own, shared = torch.randn(4, 7, 3), torch.randn(4, 1, 2)
    expected = network(torch.cat((own, shared.expand(4, 7, 2)), -1).flatten(0, 1)).view(4, 7, 3)
    torch.testing.assert_close(evaluate_frozen(network, (own, shared)), expected)


def test_maml_refuses_to_normalize_critics_that_it_does_not_have() -> None:
    with pytest.raises(ConfigurationError, match=r"network\.normalization = 'critics'.*has no critic"):
        tiny_agent(MAML, network=NetworkPlan(normalization="critics"))
