"""The soft actor-critic's losses against loops over plain numbers, and their gradients against differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lit_metarl.losses import soft_actor_critic as sac

SHAPE = (3, 4)


def random(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def numbers(tensor: Tensor) -> list[float]:
    return [float(value) for value in tensor.flatten()]


def average(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def test_the_bellman_target_bootstraps_unless_the_episode_ended_for_good() -> None:
    reward, next_value, terminated = random(0), random(1), random(2) > 0
    target = sac.bellman_target(reward, terminated, next_value, 0.9)
    for i, (r, ended, v) in enumerate(zip(numbers(reward), terminated.flatten().tolist(), numbers(next_value))):
        assert float(target.flatten()[i]) == pytest.approx(r if ended else r + 0.9 * v)
    assert terminated.any()
    assert not terminated.all()


def test_an_infinite_value_behind_a_termination_does_not_reach_the_target() -> None:
    target = sac.bellman_target(torch.ones(1), torch.tensor([True]), torch.tensor([torch.inf]), 0.99)
    assert target.item() == 1.0


def test_the_critic_loss_sums_the_mean_squared_errors_of_the_critics() -> None:
    q1, q2, target = random(0), random(1), random(2)
    expected = sum(average([(q - t) ** 2 for q, t in zip(numbers(q), numbers(target))]) for q in (q1, q2))
    assert float(sac.critic_loss((q1, q2), target)) == pytest.approx(expected)


def test_the_value_loss_pulls_towards_the_soft_value() -> None:
    value, min_q, log_prob = random(0), random(1), random(2)
    expected = average([(v - (q - 0.3 * p)) ** 2 for v, q, p in zip(numbers(value), numbers(min_q), numbers(log_prob))])
    assert float(sac.value_loss(value, min_q, log_prob, 0.3)) == pytest.approx(expected)


def test_the_policy_loss_is_the_mean_of_scaled_log_probability_minus_q() -> None:
    min_q, log_prob = random(1), random(2)
    expected = average([0.3 * p - q for q, p in zip(numbers(min_q), numbers(log_prob))])
    assert float(sac.policy_loss(min_q, log_prob, torch.tensor(0.3))) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("loss", "learned"),
    [
        (lambda q1, q2: sac.critic_loss((q1, q2), random(2)), 2),
        (lambda value: sac.value_loss(value, random(1), random(2), 0.7), 1),
        (lambda min_q, log_prob: sac.policy_loss(min_q, log_prob, 0.7), 2),
        (lambda log_temperature: sac.temperature_loss(log_temperature.mean(), random(2), -2.0), 1),
    ],
    ids=["critic", "value", "policy", "temperature"],
)
def test_gradients_of_what_is_learned_agree_with_finite_differences(loss: Callable[..., Tensor], learned: int) -> None:
    inputs = tuple(random(10 + seed).requires_grad_() for seed in range(learned))
    assert torch.autograd.gradcheck(loss, inputs)


def test_targets_receive_no_gradient() -> None:
    target, min_q, log_prob = (random(seed).requires_grad_() for seed in range(3))
    prediction = random(3).requires_grad_()
    temperature = torch.tensor(0.5, requires_grad=True)
    log_temperature = torch.zeros((), requires_grad=True)
    loss = (
        sac.critic_loss((prediction,), target)
        + sac.value_loss(prediction, min_q, log_prob, temperature)
        + sac.temperature_loss(log_temperature, log_prob, -2.0)
    )
    loss.backward()
    assert target.grad is min_q.grad is log_prob.grad is temperature.grad is None
    assert prediction.grad is not None
    assert log_temperature.grad is not None


@pytest.mark.parametrize(("entropy", "rises"), [(-5.0, True), (1.0, False)])
def test_the_temperature_rises_exactly_when_the_entropy_is_below_its_target(entropy: float, rises: bool) -> None:
    log_temperature = torch.zeros((), requires_grad=True)
    sac.temperature_loss(log_temperature, torch.full((8,), -entropy), target_entropy=-2.0).backward()
    descent = -float(log_temperature.grad)
    assert (descent > 0) == rises
    assert abs(descent) == pytest.approx(abs(entropy - -2.0))


def test_the_soft_value_is_the_fixed_point_of_value_and_policy_losses() -> None:
    """With two actions, π ∝ exp(Q/α) minimizes the expected policy loss, and V = α log Σ exp(Q/α) there."""
    q, temperature = torch.tensor([1.0, -0.5], dtype=torch.float64), 0.4
    soft_value = temperature * torch.logsumexp(q / temperature, 0)
    log_policy = q / temperature - torch.logsumexp(q / temperature, 0)
    value = soft_value.expand(2)
    assert float(sac.value_loss(value, q, log_policy, temperature)) == pytest.approx(0.0, abs=1e-20)

    def expected_policy_loss(p: float) -> float:
        probabilities = torch.tensor([p, 1 - p], dtype=torch.float64)
        per_action = torch.stack(
            [sac.policy_loss(q[i : i + 1], probabilities[i : i + 1].log(), temperature) for i in range(2)]
        )
        return float((probabilities * per_action).sum())

    best = float(log_policy[0].exp())
    assert expected_policy_loss(best) == pytest.approx(-float(soft_value))
    assert expected_policy_loss(best) < min(expected_policy_loss(best - 0.02), expected_policy_loss(best + 0.02))
