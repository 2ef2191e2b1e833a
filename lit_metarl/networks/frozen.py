"""Networks evaluated without gradients on many groups of rows that share part of their input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchrl.modules import MLP

CPU_CHUNK_ROWS = 512  # of hidden units, so that a chunk's activations stay in a core's cache
DEVICE_CHUNK_ROWS = 2**17


@torch.no_grad()
def evaluate(network: MLP, parts: Sequence[Tensor]) -> Tensor:
    """`network` on the concatenation of `parts`, which are broadcast against each other.

    The same numbers as `network(torch.cat(expanded_parts, -1))`, for less: the first layer is linear,
    so what several groups share is multiplied once; activations are written into two buffers that
    are used again for every chunk of rows.

    Args:
        network: an MLP with ReLU between its layers.
        parts: `[..., rows, features of the part]`; leading dimensions and rows broadcast. Dimensions
            that were expanded (stride 0) count as shared.

    Returns:
        `[..., rows, outputs]`.
    """
    layers = [module for module in network if isinstance(module, nn.Linear)]
    *leading, rows = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
    groups = torch.Size(leading).numel()
    own, own_weights, shared = [], [], []
    for part, weight in zip(parts, layers[0].weight.split([part.shape[-1] for part in parts], 1)):
        grouped = _grouped(part, leading)
        if grouped.shape[:2] == (groups, rows):
            own.append(grouped)
            own_weights.append(weight)
        else:
            shared.append(grouped @ weight.T)
    inputs = torch.cat(own, -1) if own else None
    first_weight = torch.cat(own_weights, 1).T if own else None
    return _in_chunks(layers, inputs, first_weight, shared, groups, rows).view(*leading, rows, -1)


def _grouped(part: Tensor, leading: Sequence[int]) -> Tensor:
    """`part` as `[groups or 1, rows or 1, features]`, without the copies that expanding made."""
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
    inputs: Tensor | None,
    first_weight: Tensor | None,
    shared: Sequence[Tensor],
    groups: int,
    rows: int,
) -> Tensor:
    """The layers on `groups` groups of rows, some groups at a time, `[groups, rows, outputs]`."""
    weight = layers[0].weight
    limit = CPU_CHUNK_ROWS if weight.device.type == "cpu" else DEVICE_CHUNK_ROWS
    size = max(1, limit // rows)
    buffers = [weight.new_empty(size * rows * max(layer.out_features for layer in layers[:-1])) for _ in range(2)]
    outputs = weight.new_empty(groups * rows, layers[-1].out_features)
    for start in range(0, groups, size):
        stop = min(start + size, groups)
        height = (stop - start) * rows
        hidden = buffers[0][: height * layers[0].out_features].view(height, -1)
        if inputs is None or first_weight is None:
            hidden.zero_()
        else:
            torch.mm(inputs[start:stop].reshape(height, -1), first_weight, out=hidden)
        grouped = hidden.view(stop - start, rows, -1)
        for product in shared:
            grouped += product[start:stop] if len(product) > 1 else product
        hidden += layers[0].bias
        for index, layer in enumerate(layers[1:], 1):
            hidden.relu_()
            last = layer is layers[-1]
            space = outputs[start * rows : stop * rows] if last else buffers[index % 2][: height * layer.out_features]
            hidden = torch.addmm(layer.bias, hidden, layer.weight.T, out=space.view(height, -1))
    return outputs
