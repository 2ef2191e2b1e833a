"""RL²: the recurrent state is the belief, and the policy's gradients shape it (Duan et al. 2016, arXiv 1611.02779)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from datamodules.collection import Trials
from envs.meta_env_spec import MetaEnvSpec
from lit_metarl.algorithms.on_policy import OnPolicyModule
from lit_metarl.networks import RecurrentEncoderPlan


class RL2(OnPolicyModule):
    """The policy sees the state and the recurrent network's state; PPO's gradients run through both.

    There is no decoder and no memory of earlier trials. A minibatch is made of whole trials, whose
    recurrent states are recomputed for every gradient step.

    Args:
        meta_spec: sizes of the environment to act in.
        encoder: settings of the recurrent network.
        **on_policy: what every on-policy algorithm takes (`OnPolicyModule`).
    """

    splits_by_trial: ClassVar[bool] = True

    def __init__(
        self, meta_spec: MetaEnvSpec, encoder: RecurrentEncoderPlan = RecurrentEncoderPlan(), **on_policy: Any
    ) -> None:
        super().__init__(meta_spec, belief_dim=encoder.hidden, normalize_belief=False, encoder=encoder, **on_policy)

    def belief_features(self, hidden: Tensor) -> Tensor:
        return hidden

    def policy_inputs(self, sequences: TensorDict) -> Tensor:
        """State, next state, action and reward of every step."""
        return torch.cat((*self.states(sequences), sequences["action"], sequences["sparse_reward"][..., None]), -1)

    def state_and_belief(self, inputs: Tensor) -> Tensor:
        state, next_state, action, reward = inputs.split(
            [self.state_dim, self.state_dim, self.meta_spec.action_dim, 1], -1
        )
        hidden = self.encoder(action, next_state, reward[..., 0])[:, :-1]
        return torch.cat((state, hidden), -1)

    def policy_parameters(self) -> list[nn.Parameter]:
        return [*self.actor_critic.parameters(), *self.encoder.parameters()]

    def update_belief(self, remembered: tuple[Trials, ...]) -> dict[str, Tensor]:
        """Nothing: PPO trains the belief too."""
        return {}

    def configure_optimizers(self) -> Any:
        """One optimizer for policy, value and recurrent network."""
        return self.with_schedules(self.policy_optimizer())
