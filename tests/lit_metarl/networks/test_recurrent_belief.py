"""The recurrent network: one step at a time as over a whole trial, and where gradients end."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lit_metarl.networks import RecurrentEncoder, RecurrentEncoderPlan

TRIALS, TIME, STATE, ACTION = 3, 11, 5, 2


def network(truncation: int | None) -> RecurrentEncoder:
    torch.manual_seed(0)
    return RecurrentEncoder(STATE, ACTION, RecurrentEncoderPlan(8, 4, 3, 2, truncation))


def steps() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = ((ACTION,), (STATE,), ())
    action, state, reward = (torch.randn(TRIALS, TIME, *size, generator=generator) for size in sizes)
    return action, state, reward


@pytest.mark.parametrize("truncation", [None, 4, 11, 50])
@torch.no_grad()
def test_the_states_over_a_trial_are_those_of_single_steps(truncation: int | None) -> None:
    encoder, (action, state, reward) = network(truncation), steps()
    whole = encoder(action, state, reward)
    hidden = torch.zeros(TRIALS, 8)
    torch.testing.assert_close(whole[:, 0], hidden)
    for time in range(TIME):
        embedded = encoder.embed(action[:, time], state[:, time], reward[:, time])
        hidden = torch.gru_cell(embedded, hidden, *encoder.gru.all_weights[0])
        torch.testing.assert_close(whole[:, time + 1], hidden)


@pytest.mark.parametrize(("truncation", "first"), [(None, 0), (4, 8), (6, 6)])
def test_truncation_ends_gradients_at_the_border_of_a_chunk(truncation: int | None, first: int) -> None:
    encoder, (action, state, reward) = network(truncation), steps()
    reward.requires_grad_()
    encoder(action, state, reward)[:, -1].sum().backward()
    assert reward.grad is not None
    reaches = (reward.grad != 0).any(0)
    assert int(reaches.nonzero()[0, 0]) == first
