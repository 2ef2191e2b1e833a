"""Advantages against torchrl and against the published recursion; PPO's losses against their definitions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchrl.objectives.value.functional import generalized_advantage_estimate

from lit_metarl.losses import ppo

TRIALS, TIME = 5, 23
DISCOUNT, LAMBDA = 0.97, 0.9


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*(shape or (TRIALS, TIME)), generator=torch.Generator().manual_seed(seed))


def marks(seed: int) -> Tensor:
    return numbers(seed) > 1.0


def test_discounted_sums_are_those_of_a_plain_loop() -> None:
    values, decays = numbers(0), numbers(1)
    sums = ppo.discounted_sums(values, decays)
    for row in range(TRIALS):
        total = 0.0
        for time in range(TIME):
            total = float(values[row, time]) + float(decays[row, time]) * total
            assert float(sums[row, time]) == pytest.approx(total, rel=1e-4, abs=1e-5)


def test_advantages_are_torchrls_when_nothing_is_cut_off() -> None:
    reward, value = numbers(0), numbers(1)
    ours = ppo.generalized_advantages(reward, value, torch.zeros(TRIALS, TIME, dtype=torch.bool), DISCOUNT, LAMBDA)
    ends = torch.zeros(TRIALS, TIME, 1, dtype=torch.bool)
    ends[:, -1] = True
    next_value = torch.cat((value[:, 1:], torch.zeros(TRIALS, 1)), 1)
    theirs, _ = generalized_advantage_estimate(
        DISCOUNT, LAMBDA, value[..., None], next_value[..., None], reward[..., None], ends, ends
    )
    torch.testing.assert_close(ours, theirs[..., 0], rtol=1e-4, atol=1e-5)


def test_a_time_limit_is_bootstrapped_from_the_state_before_it_as_torchrl_does_at_a_truncation() -> None:
    reward, value, limit = numbers(0), numbers(1), 9
    cut_off = torch.zeros(TRIALS, TIME, dtype=torch.bool)
    cut_off[:, limit] = True
    ours = ppo.generalized_advantages(reward, value, cut_off, DISCOUNT, LAMBDA)
    assert (ours[:, limit] == 0).all()
    done = torch.zeros(TRIALS, limit, 1, dtype=torch.bool)
    never = done.clone()
    done[:, -1] = True
    theirs, _ = generalized_advantage_estimate(
        DISCOUNT,
        LAMBDA,
        value[:, :limit, None],
        value[:, 1 : limit + 1, None],
        reward[:, :limit, None],
        done,
        never,
    )
    torch.testing.assert_close(ours[:, :limit], theirs[..., 0], rtol=1e-4, atol=1e-5)


def test_advantages_are_those_of_the_published_recursion() -> None:
    reward, value, cut_off = numbers(0), numbers(1), marks(2)
    ours = ppo.generalized_advantages(reward, value, cut_off, DISCOUNT, LAMBDA)
    running = torch.zeros(TRIALS)
    for time in reversed(range(TIME)):
        mask = float(time + 1 < TIME)  # the trial ends with its last step
        following = value[:, time + 1] if time + 1 < TIME else torch.zeros(TRIALS)
        error = reward[:, time] + DISCOUNT * following * mask - value[:, time]
        running = (error + DISCOUNT * LAMBDA * mask * running) * ~cut_off[:, time]
        torch.testing.assert_close(ours[:, time], running, rtol=1e-4, atol=1e-5)


def test_padding_behind_a_trial_changes_nothing() -> None:
    reward, value, cut_off = numbers(0), numbers(1), marks(2)
    padded = [functional.pad(values, (0, 4)) for values in (reward, value)]
    longer = ppo.generalized_advantages(*padded, functional.pad(cut_off, (0, 4)), DISCOUNT, LAMBDA)
    shorter = ppo.generalized_advantages(reward, value, cut_off, DISCOUNT, LAMBDA)
    assert torch.equal(longer[:, :TIME], shorter)
    assert (longer[:, TIME:] == 0).all()


@pytest.mark.parametrize(
    ("ratio", "advantage", "objective"),
    [(1.0, 2.0, 2.0), (1.5, 2.0, 1.1 * 2.0), (0.5, 2.0, 0.5 * 2.0), (1.5, -2.0, -3.0), (0.5, -2.0, 0.9 * -2.0)],
)
def test_the_surrogate_gains_nothing_beyond_the_clip(ratio: float, advantage: float, objective: float) -> None:
    loss = ppo.policy_loss(torch.tensor(ratio).log(), torch.tensor(advantage), clip=0.1)
    assert float(loss) == pytest.approx(-objective, rel=1e-6)


def test_the_surrogates_gradient_is_that_of_finite_differences() -> None:
    advantage = numbers(1).double()
    log_ratio = (0.3 * numbers(0)).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ppo.policy_loss(x, advantage, 0.1), (log_ratio,))


def test_the_value_loss_is_the_larger_of_the_plain_and_the_clipped_huber_loss() -> None:
    value, old, target = 2 * numbers(0), 2 * numbers(1), 2 * numbers(2)
    losses = ppo.value_loss(value, old, target, clip=0.1)
    for x, before, goal, loss in zip(value.flatten(), old.flatten(), target.flatten(), losses.flatten()):
        clipped = before + max(-0.1, min(0.1, float(x - before)))
        huber = [d * d / 2 if d < 1 else d - 0.5 for d in (abs(float(x - goal)), abs(float(clipped - goal)))]
        assert float(loss) == pytest.approx(0.5 * max(huber), rel=1e-4)
