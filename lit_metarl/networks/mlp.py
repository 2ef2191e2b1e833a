"""The plain network that everything here is built from."""

from __future__ import annotations

from torch import nn
from torchrl.modules import MLP


def relu_mlp(inputs: int, outputs: int, layers: list[int]) -> MLP:
    """An MLP with ReLU layers of widths `layers`.

    The activations are in place: a fresh tensor can cost a CPU more than the arithmetic on it. Give
    the network rows (two dimensions) where gradients are needed; in-place steps on views are slow.
    """
    return MLP(inputs, outputs, num_cells=layers, activation_class=nn.ReLU, activation_kwargs={"inplace": True})
