"""The multilayer perceptron that the networks here are built from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from lit_metarl.networks.network_plan import ACTIVATIONS, NetworkPlan

if TYPE_CHECKING:
    from torchrl.modules import MLP

MLPInitialization = Literal["published", "torch"]


def build_mlp(
    inputs: int,
    outputs: int,
    layers: list[int],
    network: NetworkPlan = NetworkPlan(),
    critic: bool = False,
    initialization: MLPInitialization = "torch",
    last_layer_bound: float = 3e-3,
) -> MLP:
    """An MLP with hidden layers of widths `layers`.

    ReLUs are in place: on a CPU, allocating a tensor can cost more than the arithmetic. Where gradients
    are needed, pass rows (two dimensions); in-place operations on views are slow.

    Args:
        inputs: size of the input.
        outputs: size of the output.
        layers: widths of the hidden layers.
        network: what lies between the layers.
        critic: whether it estimates values.
        initialization: "torch" for the defaults of `torch.nn.Linear`; "published" for what PEARL's published
            code does (`initialize_as_published`).
        last_layer_bound: with "published", the largest weight and bias of the last layer.
    """
    from torchrl.modules import MLP  # slow to import

    made = MLP(
        inputs,
        outputs,
        num_cells=layers,
        activation_class=ACTIVATIONS[network.activation],
        activation_kwargs={"inplace": True} if network.activation == "relu" else None,
        norm_class=nn.LayerNorm if network.normalizes(critic) else None,
        norm_kwargs=[{"normalized_shape": width} for width in layers],
    )
    if initialization == "published":
        initialize_as_published(made, last_layer_bound)
    return made


@torch.no_grad()
def initialize_as_published(network: MLP, last_layer_bound: float) -> None:
    """Initialize `network` again, as the published code of PEARL and HFR does (`Mlp` in its rlkit).

    Hidden layers: weights uniform in ±1/√width, where the width is the layer's own number of *outputs* (the code calls
    it the fan-in), and biases 0.1. Last layer: weights and biases uniform in ±`last_layer_bound`, so that outputs
    start near 0.
    """
    *hidden, last = (layer for layer in network if isinstance(layer, nn.Linear))
    for layer in hidden:
        bound = 1.0 / math.sqrt(layer.out_features)
        layer.weight.uniform_(-bound, bound)
        layer.bias.fill_(0.1)
    last.weight.uniform_(-last_layer_bound, last_layer_bound)
    last.bias.uniform_(-last_layer_bound, last_layer_bound)
