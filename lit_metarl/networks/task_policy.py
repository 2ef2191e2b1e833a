"""A policy that can be evaluated with separate parameters for every task (MAML, Finn et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.func import functional_call

from lit_metarl.networks.action_distributions import ActionDistribution
from lit_metarl.networks.actor_critic import Initialization, initialized
from lit_metarl.networks.network_plan import NetworkPlan
from lit_metarl.networks.task_linear import TaskLinear


class TaskPolicy(nn.Module):
    """Layers, then a distribution over actions.

    Args:
        inputs: size of the input.
        layers: widths of the layers.
        network: what follows each of them. Normalization has no parameters of its own here, which every task would
            adapt.
        initialization: of the layers' weights.
        actions: the distribution over actions; its input has the size of the last layer.
    """

    def __init__(
        self,
        inputs: int,
        layers: list[int],
        network: NetworkPlan,
        initialization: Initialization,
        actions: ActionDistribution,
    ) -> None:
        super().__init__()
        sizes = zip([inputs, *layers], layers)
        self.layers = nn.ModuleList(
            initialized(TaskLinear(width_in, width), initialization, network.gain) for width_in, width in sizes
        )
        self.between = nn.ModuleList(
            nn.Sequential(*network.between(width, critic=False, affine=False)) for width in layers
        )
        self.actions = actions

    def forward(self, inputs: Tensor) -> Tensor:
        """The parameters of the distributions over actions, `[..., n, parameters]`, for `inputs` `[..., n, inputs]`."""
        hidden = inputs
        for layer, between in zip(self.layers, self.between):
            hidden = between(layer(hidden))
        distribution: Tensor = self.actions(hidden)
        return distribution

    def with_parameters(self, parameters: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """`forward` with separate parameters for every task, `[tasks, ...]`, and `inputs` `[tasks, n, inputs]`.

        All tasks are computed at once.
        """
        distribution: Tensor = functional_call(self, dict(parameters), (inputs,), tie_weights=False)
        return distribution
