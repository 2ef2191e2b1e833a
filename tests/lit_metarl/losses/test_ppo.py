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
            assert float(sums[row, time]) == pytest.approx(total, rel=1e-5, abs=1e-6)


def plain_loop(reward: Tensor, value: Tensor, cut_off: Tensor, discount: float, gae_lambda: float) -> Tensor:
    """The recursion of VariBAD's published code with proper time limits, in double precision."""
    advantage, running = torch.zeros(reward.shape, dtype=torch.float64), torch.zeros(len(reward), dtype=torch.float64)
    for time in reversed(range(reward.shape[1])):
        last = time + 1 == reward.shape[1]
        following = torch.zeros(len(reward)) if last else value[:, time + 1]
        error = reward[:, time].double() + discount * following.double() - value[:, time].double()
        running = (error + discount * gae_lambda * running) * ~cut_off[:, time]
        advantage[:, time] = running
    return advantage


@pytest.mark.parametrize(("discount", "gae_lambda"), [(0.97, 0.9), (0.999, 0.9), (0.99, 1.0), (1.0, 1.0)])
@pytest.mark.parametrize("time", [1, 23, 400])
@pytest.mark.parametrize("limits", ["never", "sometimes", "every 20 steps"])
def test_advantages_are_those_of_the_published_recursion(
    discount: float, gae_lambda: float, time: int, limits: str
) -> None:
    reward, value = numbers(0, TRIALS, time), numbers(1, TRIALS, time)
    cut_off = torch.zeros(TRIALS, time, dtype=torch.bool)
    if limits == "sometimes":
        cut_off = numbers(2, TRIALS, time) > 1.0
    elif limits == "every 20 steps":
        cut_off[:, 19::20] = True
    ours = ppo.generalized_advantages(reward, value, cut_off, discount, gae_lambda)
    expected = plain_loop(reward, value, cut_off, discount, gae_lambda)
    scale = float(expected.abs().max())
    assert float((ours - expected).abs().max()) <= 1e-6 * max(scale, 1.0)
    assert (ours[cut_off] == 0).all()


def test_advantages_are_torchrls_with_a_time_limit_as_an_end_that_is_rewarded_with_its_value() -> None:
    reward, value, cut_off = numbers(0), numbers(1), marks(2)
    ours = ppo.generalized_advantages(reward, value, cut_off, DISCOUNT, LAMBDA)
    columns = (x[..., None] for x in (value, functional.pad(value[:, 1:], (0, 1)), torch.where(cut_off, value, reward)))
    theirs, _ = generalized_advantage_estimate(DISCOUNT, LAMBDA, *columns, cut_off[..., None], cut_off[..., None])
    torch.testing.assert_close(ours, theirs[..., 0], rtol=1e-6, atol=1e-6)


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
