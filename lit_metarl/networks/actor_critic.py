"""Policy and value of a state and a belief (VariBAD, Zintgraf et al. 2020)."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from lit_metarl.networks.action_distributions import ActionDistribution
from lit_metarl.networks.hypernetwork import GeneratedLinear, WithEmbedding
from lit_metarl.networks.network_plan import ACTIVATIONS, NetworkPlan

Initialization = Literal["normc", "orthogonal"]


def initialized(layer: nn.Linear, initialization: Initialization, gain: float) -> nn.Linear:
    """`layer` with bias 0 and weights whose rows have norm `gain` ("normc"), or that are orthogonal times `gain`."""
    nn.init.zeros_(layer.bias)
    if initialization == "orthogonal":
        nn.init.orthogonal_(layer.weight, gain)
    else:
        nn.init.normal_(layer.weight)
        with torch.no_grad():
            layer.weight *= gain / layer.weight.norm(dim=1, keepdim=True)
    return layer


class ActorCritic(nn.Module):
    """Embeds state and belief, then runs two towers of layers, one for the policy, one for the value.

    Args:
        state_dim: size of the state.
        belief_dim: size of the belief.
        state_embedding: size of the state's embedding; None passes it on as it is.
        belief_embedding: size of the belief's embedding; None passes it on as it is.
        layers: widths of each tower's layers.
        network: what follows each of them; embeddings have its activation too.
        initialization: of the towers' weights.
        actions: the distribution over actions; its input has the size of the last layer.
        generated: whether a hypernetwork generates the towers from the belief's embedding; what they see is the state's
            embedding alone, and `actions` sees the belief's embedding beside the last layer's output.
    """

    def __init__(
        self,
        state_dim: int,
        belief_dim: int,
        state_embedding: int | None,
        belief_embedding: int | None,
        layers: list[int],
        network: NetworkPlan,
        initialization: Initialization,
        actions: ActionDistribution,
        generated: bool = False,
    ) -> None:
        super().__init__()
        self.sizes = [state_dim, belief_dim]
        self.state = nn.Identity() if state_embedding is None else embedding(state_dim, state_embedding, network)
        self.belief = nn.Identity() if belief_embedding is None else embedding(belief_dim, belief_embedding, network)
        belief_size = belief_embedding or belief_dim
        inputs = (state_embedding or state_dim) + (0 if generated else belief_size)
        new_linear = partial(GeneratedLinear, embedding=belief_size) if generated else nn.Linear
        towers = []
        for critic in (False, True):
            tower: list[nn.Module] = []
            for width_in, width in zip([inputs, *layers], layers):
                linear = initialized(new_linear(width_in, width), initialization, network.gain)
                layer = [linear, *network.between(width, critic)]
                tower += [WithEmbedding(belief_size, *layer)] if generated else layer
            towers.append(nn.Sequential(*tower))
        self.actor, self.critic = towers
        self.actions = actions
        self.value = new_linear(layers[-1], 1)

    def embed(self, inputs: Tensor) -> Tensor:
        """Embeddings of state and belief, from both side by side `[..., state_dim + belief_dim]`."""
        state, belief = inputs.split(self.sizes, -1)
        return torch.cat((self.state(state), self.belief(belief)), -1)

    def policy_features(self, inputs: Tensor) -> Tensor:
        """What `actions` takes, `[..., features]`."""
        features: Tensor = self.actor(self.embed(inputs))
        return features

    def values(self, inputs: Tensor) -> Tensor:
        """Values, `[...]`."""
        values: Tensor = self.value(self.critic(self.embed(inputs)))[..., 0]
        return values

    def log_probabilities(self, inputs: Tensor, raw_action: Tensor) -> Tensor:
        """Log-probabilities of raw actions, `[...]`."""
        return self.actions.log_probability(self.actions(self.policy_features(inputs)), raw_action)

    def forward(self, inputs: Tensor, raw_action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities of raw actions, entropies and values, `[...]` each."""
        embedded = self.embed(inputs)
        log_probability, entropy = self.actions.log_prob_and_entropy(self.actor(embedded), raw_action)
        return log_probability, entropy, self.value(self.critic(embedded))[..., 0]


def embedding(inputs: int, size: int, network: NetworkPlan) -> nn.Sequential:
    """A linear layer with the network's activation."""
    return nn.Sequential(nn.Linear(inputs, size), ACTIVATIONS[network.activation]())
