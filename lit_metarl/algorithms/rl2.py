"""RL²: the recurrent state is the belief, and the policy's gradients shape it (Duan et al. 2016, arXiv 1611.02779)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from datamodules.collection import Trials
from envs.base import MetaEnvSpec
from lit_metarl.algorithms.on_policy import OnPolicyModule


class RL2(OnPolicyModule):
    """The policy sees the state and the recurrent network's state; PPO's gradients run through both.

    Nothing is decoded and no earlier trial remembered. A minibatch is made of whole trials, whose
    recurrent states are computed anew for every gradient step.

    Args:
        world: sizes of the world to act in.
        hidden: size of the recurrent state.
        **on_policy: what every on-policy algorithm takes (`OnPolicyModule`).
    """

    splits_by_trial: ClassVar[bool] = True

    def __init__(self, meta_spec: MetaEnvSpec, hidden: int = 128, **on_policy: Any) -> None:
        super().__init__(meta_spec, belief_dim=hidden, normalize_belief=False, hidden=hidden, **on_policy)

    def belief_features(self, hidden: Tensor) -> Tensor:
        return hidden

    def policy_inputs(self, sequences: TensorDict) -> Tensor:
        """State, next state, action and reward of every step."""
        return torch.cat((*self.states(sequences), sequences["action"], sequences["sparse_reward"][..., None]), -1)

    def evaluate(self, inputs: Tensor, raw_action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        state, next_state, action, reward = inputs.split(
            [self.state_dim, self.state_dim, self.meta_spec.action_dim, 1], -1
        )
        hidden = self.encoder(action, next_state, reward[..., 0], self.truncation)[:, :-1]
        return self.actor_critic.evaluate(self.normalize(torch.cat((state, hidden), -1)), raw_action)

    def policy_parameters(self) -> list[nn.Parameter]:
        return [*self.actor_critic.parameters(), *self.encoder.parameters()]

    def update_belief(self, remembered: tuple[Trials, ...]) -> dict[str, Tensor]:
        """Nothing: PPO has done it."""
        return {}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam for policy, value and recurrent network."""
        return self.adam(self.policy_parameters(), self.learning_rate)
