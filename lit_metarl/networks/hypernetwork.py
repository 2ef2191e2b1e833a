"""Layers whose weights a linear hypernetwork generates from an embedding (Beck et al. 2023, arXiv 2309.14970)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from envs.errors import require, require_positive


@dataclass(frozen=True)
class HypernetworkPlan:
    """Whether a hypernetwork generates all layers of policy and value from the belief.

    Attributes:
        enabled: whether it does; policy and value then see the state alone.
        max_weights: largest number of weights and biases that it may generate. Every step of a minibatch has its own,
            of 4 bytes each, and as many gradients. The published network has 200,000.
    """

    enabled: bool = False
    max_weights: int = 250_000

    def __post_init__(self) -> None:
        require_positive("max_weights", self.max_weights, of=self)

    def require_room(self, sizes: Sequence[int], outputs: Sequence[int]) -> None:
        """Refuse networks with more weights than `max_weights` together.

        Args:
            sizes: of every network's input and hidden layers.
            outputs: the size of each network's output.

        Raises:
            ConfigurationError: that says how many weights there would be.
        """
        networks = ([*sizes, size] for size in outputs)
        weights = sum((before + 1) * after for network in networks for before, after in pairwise(network))
        require(
            weights <= self.max_weights,
            "max_weights",
            self.max_weights,
            f"the hypernetwork would generate {weights} weights for every step",
            "Use narrower layers or a smaller policy_state_embedding, or allow more where memory suffices.",
            of=self,
        )


class GeneratedLinear(nn.Linear):
    """A linear layer whose weight and bias are a linear function of an embedding, which is a part of its input.

    The weight and bias that belong to `nn.Linear` are the bias of the hypernetwork. They are initialized as those of
    any layer, and the hypernetwork's own weight is 0 at the start (Bias-HyperInit; Beck et al. 2022, arXiv
    2210.11348): all embeddings then have the same layer.

    Args:
        inputs: size of the layer's input.
        outputs: size of its output.
        embedding: size of the embedding.
    """

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__(inputs, outputs)
        self.embedding = embedding
        self.hyper_weight = nn.Parameter(torch.zeros(outputs * (inputs + 1), embedding))
        """Of every generated weight, row by row, each row followed by its bias."""

    def forward(self, input: Tensor) -> Tensor:
        """The outputs `[..., outputs]` for the layer's input and the embedding side by side."""
        layer_input, embedding = input.split([self.in_features, self.embedding], -1)
        generated = functional.linear(embedding, self.hyper_weight).unflatten(-1, (self.out_features, -1))
        with_one = functional.pad(layer_input, (0, 1), value=1.0)  # the last column of `generated` is the bias
        change: Tensor = (generated @ with_one[..., None])[..., 0]
        return functional.linear(layer_input, self.weight, self.bias) + change


class WithEmbedding(nn.Module):
    """A generated linear layer and what follows it, which pass the embedding on beside their output.

    Args:
        embedding: size of the embedding.
        *layers: called one after the other.
    """

    def __init__(self, embedding: int, *layers: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """`[..., outputs + embedding]` for `[..., inputs + embedding]`."""
        return torch.cat((self.layers(inputs), inputs[..., -self.embedding :]), -1)
