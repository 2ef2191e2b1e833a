"""The recurrent network that sums up what a trial has shown (VariBAD, Zintgraf et al. 2020; RL², Duan et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from envs.errors import require_positive


@dataclass(frozen=True)
class RecurrentEncoderPlan:
    """Sizes of the recurrent network, and how far gradients go back in time.

    Attributes:
        hidden: size of the recurrent state.
        state_embedding: size of the embedding of a state.
        action_embedding: size of the embedding of an action.
        reward_embedding: size of the embedding of a reward.
        truncation: steps after which gradients are cut (truncated backpropagation through time); None for never.
    """

    hidden: int = 128
    state_embedding: int = 32
    action_embedding: int = 16
    reward_embedding: int = 16
    truncation: int | None = 50

    def __post_init__(self) -> None:
        for name in ("hidden", "state_embedding", "action_embedding", "reward_embedding"):
            require_positive(name, getattr(self, name), of=self)
        if self.truncation is not None:
            require_positive("truncation", self.truncation, of=self)


class RecurrentEncoder(nn.Module):
    """Embeds action, next state and reward of every step and runs a GRU over them.

    Args:
        state_dim: size of a state.
        action_dim: size of an action.
        plan: the other sizes.
    """

    def __init__(self, state_dim: int, action_dim: int, plan: RecurrentEncoderPlan) -> None:
        super().__init__()
        self.hidden = plan.hidden
        self.truncation = plan.truncation
        self.action = nn.Linear(action_dim, plan.action_embedding)
        self.state = nn.Linear(state_dim, plan.state_embedding)
        self.reward = nn.Linear(1, plan.reward_embedding)
        embedding = plan.action_embedding + plan.state_embedding + plan.reward_embedding
        self.gru = nn.GRU(embedding, plan.hidden, batch_first=True)
        for name, parameter in self.gru.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            else:
                nn.init.orthogonal_(parameter)

    def embed(self, action: Tensor, next_state: Tensor, reward: Tensor) -> Tensor:
        """Embeddings of steps, `[..., embedding]`, from `[..., action_dim]`, `[..., state_dim]` and `[...]`."""
        parts = (self.action(action), self.state(next_state), self.reward(reward[..., None]))
        return torch.cat(parts, -1).relu()

    def forward(self, action: Tensor, next_state: Tensor, reward: Tensor) -> Tensor:
        """The recurrent states before the first step and after every step, `[n, time + 1, hidden]`.

        Args:
            action: `[n, time, action_dim]`.
            next_state: `[n, time, state_dim]`.
            reward: `[n, time]`.
        """
        embedded = self.embed(action, next_state, reward)
        n, time, size = embedded.shape
        length = min(self.truncation or time, time)
        starts = self._states_before_chunks(embedded, length)
        chunks = functional.pad(embedded, (0, 0, 0, starts.shape[1] * length - time)).reshape(-1, length, size)
        # No gradient goes from one chunk to another, so they are run side by side: in fewer, larger operations.
        outputs, _ = self.gru(chunks, starts.reshape(1, -1, self.hidden))
        return torch.cat((starts[:, :1], outputs.reshape(n, -1, self.hidden)[:, :time]), 1)

    @torch.no_grad()
    def _states_before_chunks(self, embedded: Tensor, length: int) -> Tensor:
        """The recurrent states before every chunk of `length` steps of `embedded` `[n, time, embedding]`.

        Returns:
            `[n, chunks, hidden]`; those before the first chunk are 0.
        """
        state = embedded.new_zeros(1, len(embedded), self.hidden)
        states = [state[0]]
        for chunk in embedded.split(length, 1)[:-1]:
            _, state = self.gru(chunk, state)
            states.append(state[0])
        return torch.stack(states, 1)
