"""The gradients of several ranks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from datamodules import ranks
from envs.errors import ContractError
from lit_metarl.optim.averaged_gradients import AveragedGradients, require_equal_parameters
from tests.ranks import connected, in_ranks


def test_gradients_are_those_of_a_single_process_with_all_rows() -> None:
    rows = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))

    def gradients(module: nn.ModuleList, part: torch.Tensor, strategy: AveragedGradients | None) -> list[Any]:
        found = []
        for loss in (
            module[0](part).square().mean(),
            module[1](module[0](part)).mean(),
        ):  # two passes, one parameter apart
            module.zero_grad()
            loss.backward()
            if strategy is not None:
                strategy.post_backward(loss)
            found += [parameter.grad for parameter in module.parameters()]
        return found

    def build(seed: int) -> nn.ModuleList:
        torch.manual_seed(seed)
        return nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 1), nn.Linear(1, 1)])

    expected = gradients(build(0), rows, None)

    def learn(rank: int) -> None:
        module, strategy = build(rank), AveragedGradients()
        strategy.model = module
        strategy.configure_ddp()
        for found, wanted in zip(gradients(module, ranks.share(rows), strategy), expected):
            assert (found is None) == (wanted is None)
            if found is not None:
                torch.testing.assert_close(found, wanted)

    assert in_ranks(connected(learn)) == [0, 0]


def test_parameters_that_drift_apart_are_noticed() -> None:
    def drift(rank: int) -> None:
        module = nn.Linear(2, 2)
        nn.init.constant_(module.weight, 1.0)
        nn.init.zeros_(module.bias)
        require_equal_parameters(module)
        nn.init.constant_(module.bias, 1e-6 * rank)
        with pytest.raises(ContractError, match="Linear.update gives parameters that are no longer equal on all ranks"):
            require_equal_parameters(module)

    assert in_ranks(connected(drift)) == [0, 0]
