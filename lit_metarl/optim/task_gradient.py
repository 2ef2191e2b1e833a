"""Differentiable gradient steps of many tasks at once (MAML, Finn et al. 2017, arXiv 1703.03400)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Parameters = dict[str, Tensor]


def for_every_task(parameters: Mapping[str, Tensor], tasks: int) -> Parameters:
    """The same `parameters` for each of `tasks` tasks, `[tasks, ...]` each; views, not copies."""
    return {name: value.expand(tasks, *value.shape) for name, value in parameters.items()}


def gradient_step(
    parameters: Parameters, task_losses: Callable[[Parameters], Tensor], rate: float, first_order: bool = False
) -> Parameters:
    """θ_i − α ∇L_i(θ_i) of every task i (eq. 1), in one batched computation.

    Tasks share no parameter, so the gradient of the sum of the losses holds every task's own gradient.
    Gradients are computed under `torch.no_grad` too; outside it, the result can be differentiated.

    Args:
        parameters: θ, `[tasks, ...]` each.
        task_losses: L; a function from such parameters to the loss of every task, `[tasks]`.
        rate: α.
        first_order: treat the gradient as a constant when the result is differentiated.

    Returns:
        The new parameters, `[tasks, ...]` each.
    """
    gradients = torch.func.grad(lambda values: task_losses(values).sum())(parameters)
    if first_order:
        gradients = {name: value.detach() for name, value in gradients.items()}
    return {name: value - rate * gradients[name] for name, value in parameters.items()}
