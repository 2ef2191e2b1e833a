"""Gradient steps of many tasks at once against one task after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from lit_metarl.optim.task_gradient import Parameters, for_every_task, gradient_step

TASKS, RATE = 5, 0.3


def draw(*size: int, seed: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


INPUTS, TARGETS = draw(TASKS, 7, 3, seed=1), draw(TASKS, 7, seed=2)
THETA = {"weight": draw(3, seed=3), "bias": draw(seed=4)}


def losses(parameters: Parameters) -> Tensor:
    predicted = ((INPUTS @ parameters["weight"][..., None])[..., 0] + parameters["bias"][:, None]).tanh()
    return (predicted - TARGETS).square().mean(1)


def one_by_one(theta: Parameters, create_graph: bool = False) -> list[Parameters]:
    adapted = []
    for task in range(TASKS):
        predicted = (INPUTS[task] @ theta["weight"] + theta["bias"]).tanh()
        loss = (predicted - TARGETS[task]).square().mean()
        gradients = torch.autograd.grad(loss, list(theta.values()), create_graph=create_graph)
        adapted.append({name: theta[name] - RATE * gradient for name, gradient in zip(theta, gradients)})
    return adapted


def tracked() -> Parameters:
    return {name: value.clone().requires_grad_() for name, value in THETA.items()}


def test_all_tasks_at_once_go_where_each_goes_alone() -> None:
    together = gradient_step(for_every_task(THETA, TASKS), losses, RATE)
    for task, alone in enumerate(one_by_one(tracked())):
        for name, value in alone.items():
            torch.testing.assert_close(together[name][task], value)


def test_a_step_is_the_same_without_gradients_outside() -> None:
    with torch.no_grad():
        quiet = gradient_step(for_every_task(tracked(), TASKS), losses, RATE)
    loud = gradient_step(for_every_task(tracked(), TASKS), losses, RATE)
    assert all(torch.equal(quiet[name], loud[name]) and not quiet[name].requires_grad for name in quiet)


def test_the_derivative_of_a_step_is_that_of_autograd_through_every_task() -> None:
    theta = tracked()
    parameters = for_every_task(theta, TASKS)
    together = gradient_step(parameters, losses, RATE)
    expected = one_by_one(theta, create_graph=True)
    weights = draw(TASKS, 3, seed=5)
    got = torch.autograd.grad((together["weight"] * weights).sum(), list(theta.values()))
    alone = torch.stack([adapted["weight"] for adapted in expected])
    for first, second in zip(got, torch.autograd.grad((alone * weights).sum(), list(theta.values()))):
        torch.testing.assert_close(first, second)


def test_to_first_order_a_step_moves_with_its_start_alone() -> None:
    theta = tracked()
    adapted = gradient_step(for_every_task(theta, TASKS), losses, RATE, first_order=True)
    weights = draw(TASKS, 3, seed=5)
    (gradient,) = torch.autograd.grad((adapted["weight"] * weights).sum(), theta["weight"])
    torch.testing.assert_close(gradient, weights.sum(0))


def test_the_same_parameters_for_every_task_cost_no_memory() -> None:
    stacked = for_every_task(THETA, TASKS)["weight"]
    assert stacked.shape == (TASKS, 3)
    assert stacked.data_ptr() == THETA["weight"].data_ptr()
