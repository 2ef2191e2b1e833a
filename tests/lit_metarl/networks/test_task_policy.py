"""A policy with parameters of its own for every task."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from lit_metarl.networks import (
    ActionDistribution,
    CategoricalActions,
    GaussianActions,
    NetworkPlan,
    TaskPolicy,
    initialized,
)

TASKS, ROWS, INPUTS, ACTIONS = 4, 5, 3, 2


def policy(discrete: bool) -> TaskPolicy:
    torch.manual_seed(0)
    actions: ActionDistribution
    if discrete:
        actions = CategoricalActions(8, ACTIONS)
    else:
        actions = GaussianActions(8, ACTIONS, 0.7, "clip", lambda layer: initialized(layer, "normc", 0.1))
    return TaskPolicy(INPUTS, [8, 8], NetworkPlan("tanh"), "normc", actions).double()


@pytest.mark.parametrize("discrete", [True, False])
def test_stacked_parameters_give_what_vmap_and_each_alone_give(discrete: bool) -> None:
    network = policy(discrete)
    generator = torch.Generator().manual_seed(1)

    def around(value: Tensor) -> Tensor:
        return value + torch.randn(TASKS, *value.shape, generator=generator, dtype=value.dtype)

    parameters = {name: around(value.detach()) for name, value in network.named_parameters()}
    inputs = torch.randn(TASKS, ROWS, INPUTS, generator=generator, dtype=torch.float64)
    together = network.with_parameters(parameters, inputs)
    mapped = vmap(lambda own, rows: functional_call(network, own, (rows,)))(parameters, inputs)
    torch.testing.assert_close(together, mapped)
    for task in range(TASKS):
        network.load_state_dict({name: value[task] for name, value in parameters.items()})
        torch.testing.assert_close(together[task], network(inputs[task]))
