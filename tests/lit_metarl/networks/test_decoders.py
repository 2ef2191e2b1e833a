"""The decoder of pairs against a plain network on the concatenated inputs."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from lit_metarl.networks import StepDecoder

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
