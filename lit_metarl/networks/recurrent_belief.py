"""The recurrent network that sums up what a trial has shown (VariBAD, Zintgraf et al. 2020; RL², Duan et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RecurrentEncoder(nn.Module):
    """Embeds action, next state and reward of every step and runs a GRU over them.

    Args:
        state_dim: size of a state.
        action_dim: size of an action.
        state_embedding: size of its embedding.
        action_embedding: likewise.
        reward_embedding: likewise.
        hidden: size of the recurrent state.
    """

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        state_embedding: int,
        action_embedding: int,
        reward_embedding: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.action = nn.Linear(action_dim, action_embedding)
        self.state = nn.Linear(state_dim, state_embedding)
        self.reward = nn.Linear(1, reward_embedding)
        self.gru = nn.GRU(action_embedding + state_embedding + reward_embedding, hidden, batch_first=True)
        for name, parameter in self.gru.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            else:
                nn.init.orthogonal_(parameter)

    def embed(self, action: Tensor, next_state: Tensor, reward: Tensor) -> Tensor:
        """Embeddings of steps, `[..., embedding]`, from `[..., action_dim]`, `[..., state_dim]` and `[...]`."""
        parts = (self.action(action), self.state(next_state), self.reward(reward[..., None]))
        return torch.cat(parts, -1).relu()

    def step(self, hidden: Tensor, action: Tensor, next_state: Tensor, reward: Tensor) -> Tensor:
        """The recurrent state after one more step, `[n, hidden]`."""
        return torch.gru_cell(self.embed(action, next_state, reward), hidden, *self.gru.all_weights[0])

    def forward(self, action: Tensor, next_state: Tensor, reward: Tensor, truncation: int | None) -> Tensor:
        """The recurrent states before the first step and after every step, `[n, time + 1, hidden]`.

        Args:
            action: `[n, time, action_dim]`.
            next_state: `[n, time, state_dim]`.
            reward: `[n, time]`.
            truncation: steps after which gradients are cut (truncated backpropagation); None for never.
        """
        embedded = self.embed(action, next_state, reward)
        state = embedded.new_zeros(1, len(embedded), self.hidden)
        outputs = [state[0, :, None]]
        for chunk in embedded.split(truncation or embedded.shape[1], 1):
            output, state = self.gru(chunk, state)
            outputs.append(output)
            state = state.detach()
        return torch.cat(outputs, 1)
