"""The networks of a running episode compute what the modules do that are trained."""

from __future__ import annotations

import pytest
import torch

from envs import PointRobot
from lit_metarl.networks import (
    ActingNetworks,
    ActorCritic,
    NetworkPlan,
    RecurrentEncoder,
    RecurrentEncoderPlan,
    RunningMoments,
    action_distribution,
    initialized,
)

STATE, BELIEF, ROWS = 3, 4, 10


def policy(
    state_embedding: int | None, belief_embedding: int | None, network: NetworkPlan = NetworkPlan("tanh")
) -> ActorCritic:
    actions = action_distribution(
        PointRobot.meta_spec, 8, 0.5, "clip", lambda layer: initialized(layer, "orthogonal", gain=1.0)
    )
    return ActorCritic(STATE, BELIEF, state_embedding, belief_embedding, [6, 8], network, "orthogonal", actions)


def recurrent() -> RecurrentEncoder:
    return RecurrentEncoder(STATE, 2, RecurrentEncoderPlan(8, 5, 3, 2, None))


@pytest.mark.parametrize("embeddings", [(5, 6), (5, None), (None, 6), (None, None)])
@pytest.mark.parametrize("normalized", [STATE, STATE + BELIEF])
@pytest.mark.parametrize("network", [NetworkPlan("tanh"), NetworkPlan("elu", "all")])
@torch.no_grad()
def test_the_policy_is_that_of_normalized_inputs(
    embeddings: tuple[int | None, int | None], normalized: int, network: NetworkPlan
) -> None:
    torch.manual_seed(0)
    actor_critic, moments = policy(*embeddings, network), RunningMoments(normalized)
    moments.update(3.0 + 2.0 * torch.randn(50, normalized))
    inputs = 3.0 + torch.randn(ROWS, STATE + BELIEF)
    seen = torch.cat((moments.normalize(inputs[:, :normalized]), inputs[:, normalized:]), -1)
    acting = ActingNetworks(actor_critic, recurrent(), moments)
    torch.testing.assert_close(acting.policy_features(inputs), actor_critic.policy_features(seen))


@torch.no_grad()
def test_single_recurrent_steps_are_those_of_a_sequence() -> None:
    torch.manual_seed(0)
    encoder, time = recurrent(), 7
    acting = ActingNetworks(policy(5, 6), encoder, RunningMoments(STATE))
    action, state, reward = (torch.randn(ROWS, time, size) for size in (2, STATE, 1))
    whole, hidden = encoder(action, state, reward[..., 0]), torch.zeros(ROWS, 8)
    for step in range(time):
        hidden = acting.recurrent_state(torch.cat((action, state, reward), -1)[:, step], hidden)
        torch.testing.assert_close(hidden, whole[:, step + 1])
