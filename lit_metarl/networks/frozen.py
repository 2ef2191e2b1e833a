"""Networks evaluated without gradients on many groups of rows that share part of their input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torchrl.modules import MLP

CPU_CHUNK_ROWS = 512  # of hidden units, so that a chunk's activations stay in a core's cache
DEVICE_CHUNK_ROWS = 2**17


@torch.no_grad()
def evaluate_frozen(network: MLP, parts: Sequence[Tensor]) -> Tensor:
    """`network` on the concatenation of `parts`, which are broadcast against each other.

    The same numbers as `network(torch.cat(expanded_parts, -1))`, for less: the first layer is linear,
    so what several groups share is multiplied once; activations are written into two buffers that
    are used again for every chunk of rows.

    Args:
        network: an MLP.
        parts: `[..., rows, features of the part]`; leading dimensions and rows broadcast. Dimensions
            that were expanded (stride 0) count as shared.

    Returns:
        `[..., rows, outputs]`.
    """
    layers, between = _parts_of(network)
    *leading, rows = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
    groups = torch.Size(leading).numel()
    own, own_weights, shared = [], [], []
    for part, weight in zip(parts, layers[0].weight.split([part.shape[-1] for part in parts], 1)):
        grouped = _grouped(part, leading)
        if grouped.shape[:2] == (groups, rows):
            own.append(grouped)
            own_weights.append(weight)
        else:
            shared.append((weight @ grouped.flatten(0, 1).T).view(-1, *grouped.shape[:2]))
    inputs = torch.cat(own, -1) if own else layers[0].weight.new_zeros(groups, rows, 0)
    first_weight = torch.cat(own_weights, 1) if own else layers[0].weight[:, :0]
    outputs = _in_chunks(layers, between, inputs, first_weight, shared)
    return outputs.view(-1, *leading, rows).movedim(0, -1)


def _parts_of(network: MLP) -> tuple[list[nn.Linear], list[list[nn.Module]]]:
    """The linear layers, and what follows each of them."""
    layers: list[nn.Linear] = []
    between: list[list[nn.Module]] = []
    for module in network:
        if isinstance(module, nn.Linear):
            layers.append(module)
            between.append([])
        else:
            between[-1].append(module)
    return layers, between


def _grouped(part: Tensor, leading: Sequence[int]) -> Tensor:
    """`part` as `[groups or 1, rows or 1, features]`, without expanded dimensions."""
    missing = len(leading) + 2 - part.dim()
    part = part.reshape(*[1] * missing, *part.shape) if missing else part
    for dimension in range(part.dim() - 1):
        if part.stride(dimension) == 0:
            part = part.narrow(dimension, 0, 1)
    if all(size == 1 for size in part.shape[:-2]):
        return part.reshape(1, *part.shape[-2:])
    return part.expand(*leading, *part.shape[-2:]).reshape(-1, *part.shape[-2:])


def _in_chunks(
    layers: Sequence[nn.Linear],
    between: Sequence[Sequence[nn.Module]],
    inputs: Tensor,
    first_weight: Tensor,
    shared: Sequence[Tensor],
) -> Tensor:
    """The layers on groups of rows, some groups at a time.

    Activations are transposed, units in front: of the layouts, the one whose products run fastest.

    Args:
        layers: the network's linear layers.
        between: what follows each of them.
        inputs: the part of the input that every row has of its own, `[groups, rows, features]`.
        first_weight: the first layer's weight on that part, `[units, features]`.
        shared: what other parts add to the first layer, `[units, groups or 1, rows or 1]`.

    Returns:
        `[outputs, groups * rows]`.
    """
    groups, rows, _ = inputs.shape
    limit = CPU_CHUNK_ROWS if inputs.device.type == "cpu" else DEVICE_CHUNK_ROWS
    size = max(1, limit // rows)
    buffers = [inputs.new_empty(size * rows * max(layer.out_features for layer in layers)) for _ in range(2)]
    outputs = inputs.new_empty(layers[-1].out_features, groups * rows)
    for start in range(0, groups, size):
        chunk = inputs[start : start + size].flatten(0, 1)
        width = len(chunk)

        def space(index: int, width: int = width) -> Tensor:
            units = layers[index].out_features
            return buffers[index % 2][: units * width].view(units, width)

        hidden = torch.addmm(layers[0].bias[:, None], first_weight, chunk.T, out=space(0))
        grouped = hidden.view(len(hidden), -1, rows)
        for product in shared:
            grouped += product[:, start : start + size] if product.shape[1] > 1 else product
        for index, layer in enumerate(layers[1:], 1):
            for module in between[index - 1]:
                hidden = module(hidden.T).T if isinstance(module, nn.LayerNorm) else module(hidden)
            hidden = torch.addmm(layer.bias[:, None], layer.weight, hidden, out=space(index))
        outputs[:, start * rows : start * rows + width] = hidden
    return outputs
