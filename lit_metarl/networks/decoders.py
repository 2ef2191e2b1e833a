"""What VariBAD predicts of a step from its belief: the reward, or the next state."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lit_metarl.networks.mlp import build_mlp


class StepDecoder(nn.Module):
    """Predicts something of a step from samples of the belief, the step's states and its action.

    A sample is paired with many steps of its trial and a step with many samples. The first layer is
    linear, so each of them goes through it once, and pairs only add the results.

    Args:
        state_dim: size of a state.
        states: how many states of a step are seen, all through one embedding.
        action_dim: size of an action.
        state_embedding: size of a state's embedding.
        action_embedding: size of an action's embedding.
        latent_dim: size of a belief sample.
        layers: widths of the hidden layers.
        outputs: numbers to predict.
    """

    def __init__(
        self,
        state_dim: int,
        states: int,
        action_dim: int,
        state_embedding: int,
        action_embedding: int,
        latent_dim: int,
        layers: list[int],
        outputs: int,
    ) -> None:
        super().__init__()
        self.state = nn.Linear(state_dim, state_embedding)
        self.action = nn.Linear(action_dim, action_embedding)
        self.first = nn.Linear(latent_dim + states * state_embedding + action_embedding, layers[0])
        self.rest = build_mlp(layers[0], outputs, layers[1:])

    def forward(self, states: Tensor, action: Tensor, latent: Tensor, steps: Tensor) -> Tensor:
        """Predictions for pairs of a belief sample and a step.

        Args:
            states: `[trials, time, states, state_dim]`.
            action: `[trials, time, action_dim]`.
            latent: belief samples, `[trials, samples, latent_dim]`.
            steps: the steps that each sample is paired with, `[trials, samples, pairs]`.

        Returns:
            `[trials, samples, pairs, outputs]`.
        """
        of_latent, of_step = self.first.weight.split([latent.shape[-1], self.first.in_features - latent.shape[-1]], 1)
        embedded = torch.cat((self.state(states).flatten(2), self.action(action)), -1).relu()
        by_step = torch.nn.functional.linear(embedded, of_step, self.first.bias)
        width = by_step.shape[-1]
        index = steps.flatten(1)[..., None].expand(-1, -1, width)
        paired = by_step.gather(1, index).unflatten(1, steps.shape[1:])
        hidden = paired + torch.nn.functional.linear(latent, of_latent)[:, :, None]
        predictions: Tensor = self.rest(hidden.relu().view(-1, width))
        return predictions.view(*steps.shape, -1)


class StateHeads(nn.Module):
    """Predicts a number for every state of a finite environment from samples of the belief.

    A step's prediction is that of the state it enters, so one pass of a sample serves many steps.

    Args:
        states: every observation of the environment, `[number, observation_dim]`.
        latent_dim: size of a belief sample.
        layers: widths of the hidden layers.
    """

    states: Tensor

    def __init__(self, states: Tensor, latent_dim: int, layers: list[int]) -> None:
        super().__init__()
        self.register_buffer("states", states, persistent=False)
        self.heads = build_mlp(latent_dim, len(states), layers)

    def forward(self, states: Tensor, action: Tensor, latent: Tensor, steps: Tensor) -> Tensor:
        """As `StepDecoder`; the first of `states` begins with the observation after the step.

        Returns:
            `[trials, samples, pairs, 1]`.
        """
        entered = states[:, :, 0, : self.states.shape[-1]]
        nearest = torch.cdist(entered, self.states.expand(len(entered), -1, -1)).argmin(-1)
        index = nearest.gather(1, steps.flatten(1)).view_as(steps)
        predictions: Tensor = self.heads(latent)
        return predictions.gather(-1, index)[..., None]
