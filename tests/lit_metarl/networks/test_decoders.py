"""The decoder of pairs against a plain network on the concatenated inputs, and that of states against a look-up."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lit_metarl.networks import StateHeads, StepDecoder

TRIALS, TIME, STATE, ACTION, LATENT, SAMPLES, PAIRS = 2, 7, 4, 3, 5, 6, 8


@pytest.mark.parametrize("states", [1, 2])
@torch.no_grad()
def test_predictions_are_those_of_the_concatenated_inputs(states: int) -> None:
    torch.manual_seed(0)
    decoder = StepDecoder(STATE, states, ACTION, 6, 3, LATENT, [16, 9], outputs=2)
    state, action = torch.randn(TRIALS, TIME, states, STATE), torch.randn(TRIALS, TIME, ACTION)
    latent, steps = torch.randn(TRIALS, SAMPLES, LATENT), torch.randint(TIME, (TRIALS, SAMPLES, PAIRS))
    predictions = decoder(state, action, latent, steps)
    assert predictions.shape == (TRIALS, SAMPLES, PAIRS, 2)
    for trial, sample, pair in ((0, 0, 0), (1, 5, 7), (1, 2, 3)):
        step = int(steps[trial, sample, pair])
        embedded = [functional.relu(decoder.state(state[trial, step, i])) for i in range(states)]
        embedded.append(functional.relu(decoder.action(action[trial, step])))
        hidden = functional.relu(decoder.first(torch.cat((latent[trial, sample], *embedded))))
        torch.testing.assert_close(predictions[trial, sample, pair], decoder.rest(hidden))


@torch.no_grad()
def test_a_step_is_predicted_by_the_head_of_the_state_it_enters() -> None:
    torch.manual_seed(0)
    cells = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    decoder = StateHeads(cells, LATENT, [16, 9])
    entered = torch.randint(len(cells), (TRIALS, TIME))
    elsewhere = torch.randn(TRIALS, TIME, 2)
    after = torch.cat((cells[entered], torch.randint(2, (TRIALS, TIME, 1)).float()), -1)
    before = torch.cat((elsewhere, torch.zeros(TRIALS, TIME, 1)), -1)
    latent, steps = torch.randn(TRIALS, SAMPLES, LATENT), torch.randint(TIME, (TRIALS, SAMPLES, PAIRS))
    predictions = decoder(torch.stack((after, before), 2), torch.randn(TRIALS, TIME, ACTION), latent, steps)
    assert predictions.shape == (TRIALS, SAMPLES, PAIRS, 1)
    for trial, sample, pair in ((0, 0, 0), (1, 5, 7), (1, 2, 3)):
        cell = int(entered[trial, int(steps[trial, sample, pair])])
        of_sample = decoder.heads(latent[trial, sample])
        torch.testing.assert_close(predictions[trial, sample, pair, 0], of_sample[cell])
