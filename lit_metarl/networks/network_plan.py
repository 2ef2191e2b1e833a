"""What lies between the layers of a network: activations and normalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from envs.errors import require_choice

Activation = Literal["relu", "tanh", "elu", "silu", "gelu"]
Normalization = Literal["none", "critics", "all"]

ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}


@dataclass(frozen=True)
class NetworkPlan:
    """What lies between the layers of an algorithm's networks.

    Attributes:
        activation: after every layer but the last.
        normalization: which networks normalize each layer's outputs before their activation (LayerNorm, Ba et al.
            2016): those that estimate values ("critics"), "all", or "none".
    """

    activation: Activation = "relu"
    normalization: Normalization = "none"

    def __post_init__(self) -> None:
        require_choice("activation", self.activation, Activation, of=self)
        require_choice("normalization", self.normalization, Normalization, of=self)

    def normalizes(self, critic: bool) -> bool:
        """Whether a network has LayerNorm; `critic` says whether it estimates values."""
        return self.normalization == "all" or (critic and self.normalization == "critics")

    def between(self, width: int, critic: bool, affine: bool = True) -> list[nn.Module]:
        """New modules that follow a layer of `width` outputs.

        Args:
            width: outputs of the layer.
            critic: whether the network estimates values.
            affine: whether normalization learns a scale and a shift of every output.
        """
        norm = [nn.LayerNorm(width, elementwise_affine=affine)] if self.normalizes(critic) else []
        return [*norm, ACTIVATIONS[self.activation]()]

    @property
    def gain(self) -> float:
        """The factor on initial weights that keeps the size of what passes through a layer (He et al. 2015)."""
        return nn.init.calculate_gain("tanh" if self.activation == "tanh" else "relu")
