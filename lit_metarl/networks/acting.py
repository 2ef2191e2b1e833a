"""The networks of an agent with a recurrent belief as they are while an episode runs: few, large operations."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_metarl.networks.actor_critic import ActorCritic
from lit_metarl.networks.recurrent_belief import RecurrentEncoder
from lit_metarl.networks.running_moments import RunningMoments
from lit_metarl.networks.unwrapped import Unwrapped, calls_of


class ActingNetworks:
    """What `ActorCritic.policy_features` and `RecurrentEncoder` compute, for the steps of an episode.

    With the few rows of a step, the number of operations counts more than the arithmetic. So layers side by side
    are one matrix product, and the normalization of the policy's inputs is a part of its first layer. Sums are then
    rounded in another order (by about 1e-7). Statistics and merged layers are those at construction.

    Args:
        actor_critic: the policy.
        encoder: the recurrent network.
        moments: statistics that normalize the first of the policy's inputs.

    Attributes:
        sample: samples raw actions, given `policy_features`.
        applied: the action in [-1, 1] that a raw action maps to.
    """

    @torch.no_grad()
    def __init__(self, actor_critic: ActorCritic, encoder: RecurrentEncoder, moments: RunningMoments) -> None:
        self.sample, self.applied = actor_critic.actions.sampler(), actor_critic.actions.applied
        self._embed_state_and_belief = _normalized_embedding(actor_critic, moments)
        self._policy = Unwrapped(*calls_of(actor_critic.actor))
        self._step_weight, self._step_bias = side_by_side(encoder.action, encoder.state, encoder.reward)
        self._recurrent = encoder.gru.all_weights[0]

    def policy_features(self, inputs: Tensor) -> Tensor:
        """What `sample` takes, `[n, features]`, for state and belief side by side, not normalized, `[n, inputs]`."""
        return self._policy(self._embed_state_and_belief(inputs))

    def recurrent_state(self, step: Tensor, before: Tensor) -> Tensor:
        """The recurrent state after one more step, `[n, hidden]`.

        Args:
            step: action, next state and reward side by side, `[n, action_dim + state_dim + 1]`.
            before: the recurrent state before it, `[n, hidden]`.
        """
        embedded = functional.linear(step, self._step_weight, self._step_bias).relu_()
        return torch.gru_cell(embedded, before, *self._recurrent)


def side_by_side(*layers: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weight and bias of one layer for all: on their inputs side by side, it gives their outputs side by side."""
    return torch.block_diag(*(layer.weight for layer in layers)), torch.cat([layer.bias for layer in layers])


def _normalized_embedding(actor_critic: ActorCritic, moments: RunningMoments) -> Unwrapped:
    """Normalization and embedding of state and belief, in one layer where both are embedded alike."""
    others = sum(actor_critic.sizes) - moments.size  # inputs that are not normalized
    scale, shift = functional.pad(moments.scale, (0, others), value=1.0), functional.pad(moments.shift, (0, others))
    state, belief = actor_critic.state, actor_critic.belief
    layers = [part[0] for part in (state, belief) if isinstance(part, nn.Sequential)]
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if len(linear) < 2:
        return Unwrapped((_normalized, (scale, shift)), (actor_critic.embed, ()))
    weight, bias = side_by_side(*linear)
    activation = nn.Sequential(*list(state.children())[1:])
    return Unwrapped((functional.linear, (weight * scale, bias + weight @ shift)), *calls_of(activation))


def _normalized(inputs: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return torch.addcmul(shift, inputs, scale)
