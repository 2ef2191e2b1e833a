"""`evaluate_frozen` against the network itself on inputs that were expanded by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lit_metarl.networks import build_mlp, evaluate_frozen, frozen


def direct(network: torch.nn.Module, parts: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    rows = torch.cat([part.expand(*shape, -1) for part in parts], -1).flatten(0, -2)
    outputs: Tensor = network(rows)
    return outputs.unflatten(0, shape)


@pytest.mark.parametrize("layers", [[7], [16, 8, 16]])
@pytest.mark.parametrize(
    "shapes",
    [
        [(5, 9), (5, 9)],
        [(5, 9), (5, 1)],
        [(9,), (5, 1)],
        [(1, 9), (5, 1), (5, 9)],
        [(1, 1), (1, 1)],
        [(2, 1, 9), (1, 5, 1), (2, 5, 9)],
        [(3, 5, 9), (5, 1)],
        [(7, 1), (7, 1)],
    ],
)
def test_it_equals_the_network_on_the_expanded_concatenation(shapes: list[tuple[int, ...]], layers: list[int]) -> None:
    torch.manual_seed(0)
    parts = [torch.randn(*shape, 2 + index) for index, shape in enumerate(shapes)]
    network = build_mlp(sum(part.shape[-1] for part in parts), 3, layers)
    expected = direct(network, parts, tuple(torch.broadcast_shapes(*shapes)))
    torch.testing.assert_close(evaluate_frozen(network, parts), expected)


def test_parts_that_were_expanded_give_the_same_as_copies_of_them() -> None:
    torch.manual_seed(0)
    part, other = torch.randn(1, 9, 4), torch.randn(6, 9, 2)
    network = build_mlp(6, 3, [8, 8])
    torch.testing.assert_close(
        evaluate_frozen(network, (part.expand(6, 9, 4), other)), evaluate_frozen(network, (part.repeat(6, 1, 1), other))
    )


@pytest.mark.parametrize("rows", [1, 10, 700])
def test_the_size_of_chunks_changes_nothing(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    parts = [torch.randn(5, rows, 3), torch.randn(5, 1, 2)]
    network = build_mlp(5, 2, [16, 16])
    whole = evaluate_frozen(network, parts)
    monkeypatch.setattr(frozen, "CPU_CHUNK_ROWS", 20)
    torch.testing.assert_close(evaluate_frozen(network, parts), whole)


def test_it_leaves_inputs_weights_and_autograd_alone() -> None:
    network, inputs = build_mlp(4, 2, [8, 8]), torch.randn(3, 5, 4)
    before, weights = inputs.clone(), [p.clone() for p in network.parameters()]
    outputs = evaluate_frozen(network, (inputs,))
    assert not outputs.requires_grad
    assert torch.equal(inputs, before)
    assert all(torch.equal(a, b) for a, b in zip(weights, network.parameters()))
    assert outputs.data_ptr() != inputs.data_ptr()
