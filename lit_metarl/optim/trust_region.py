"""Trust region policy optimization: the largest step along the natural gradient that a KL limit allows.

Schulman et al. 2015, arXiv 1502.05477, appendix C. Every vector is all parameters concatenated, `[parameters]`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules import ranks
from envs.errors import require, require_positive, require_positive_and_finite, require_weight

Objective = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From parameters to the loss, and the mean KL from the policy at the start; both scalar and differentiable."""
Product = Callable[[Tensor], Tensor]
"""A symmetric matrix, as its product with a vector."""


@dataclass(frozen=True)
class TrustRegionPlan:
    """How a trust region step is computed.

    Attributes:
        max_kl: largest mean KL between the policies before and after it (δ).
        conjugate_gradient_steps: iterations that the natural gradient is computed with.
        damping: added to the diagonal of the Fisher matrix.
        backtracks: steps that are tried, each shorter than the one before.
        backtrack_ratio: length of each relative to the one before.
    """

    max_kl: float = 0.01
    conjugate_gradient_steps: int = 10
    damping: float = 1e-5
    backtracks: int = 15
    backtrack_ratio: float = 0.8

    def __post_init__(self) -> None:
        require_positive_and_finite("max_kl", self.max_kl, "MAML uses 0.01.", of=self)
        require_weight("damping", self.damping, "MAML uses 1e-5.", of=self)
        require_positive("conjugate_gradient_steps", self.conjugate_gradient_steps, of=self)
        require_positive("backtracks", self.backtracks, of=self)
        ratio = self.backtrack_ratio
        require(0 < ratio < 1, "backtrack_ratio", ratio, "it must lie in (0, 1)", "MAML uses 0.8.", of=self)


class TrustRegionStep(NamedTuple):
    """A step and its diagnostics.

    Attributes:
        step: what to add to the parameters, `[parameters]`; 0 where no step was found.
        loss: after the step.
        kl: of the step.
        gradient_norm: of the loss before it.
        found: whether the line search found a step.
    """

    step: Tensor
    loss: Tensor
    kl: Tensor
    gradient_norm: Tensor
    found: bool


def trust_region_step(
    objective: Objective, fisher_vector_product: Product, parameters: Tensor, plan: TrustRegionPlan
) -> TrustRegionStep:
    """The step from `parameters` `[parameters]` that lowers the loss within the KL limit.

    The line search keeps the first of ever shorter steps that does both. With several ranks, each has its own
    objective, and all take the same step, computed from the mean.

    Args:
        objective: the loss and the KL of a tried step; the loss is differentiated at the start.
        fisher_vector_product: v ↦ F v, where F is the Hessian of the KL at the start.
        parameters: the start, `[parameters]`.
        plan: settings.
    """
    start = parameters.detach().requires_grad_()
    loss, _ = objective(start)
    (own_gradient,) = torch.autograd.grad(loss, start)
    gradient = _mean_over_ranks(own_gradient)

    def damped_product(vector: Tensor) -> Tensor:
        return _mean_over_ranks(fisher_vector_product(vector)) + plan.damping * vector

    direction = conjugate_gradient(damped_product, gradient, plan.conjugate_gradient_steps)
    curvature = direction @ damped_product(direction)
    longest = direction * (2.0 * plan.max_kl / curvature.clamp(min=torch.finfo(curvature.dtype).tiny)).sqrt()
    loss = _mean_over_ranks(loss.detach())
    for tried in range(plan.backtracks):
        step = -(plan.backtrack_ratio**tried) * longest
        with torch.no_grad():
            new_loss, new_kl = _mean_over_ranks(torch.stack(objective(start + step)))
        if bool(new_loss < loss) and bool(new_kl <= plan.max_kl):  # both are False if a number is not finite
            return TrustRegionStep(step, new_loss, new_kl, gradient.norm(), True)
    return TrustRegionStep(torch.zeros_like(gradient), loss, torch.zeros_like(loss), gradient.norm(), False)


def conjugate_gradient(product: Product, target: Tensor, steps: int) -> Tensor:
    """x with A x = `target`, for a symmetric positive definite A given by its `product` with a vector.

    Stops early once the residual has almost vanished.
    """
    solution, residual, direction = torch.zeros_like(target), target.clone(), target.clone()
    squared = residual @ residual
    least = squared * torch.finfo(target.dtype).eps ** 2
    for _ in range(steps):
        if not bool(squared > least):
            break
        image = product(direction)
        size = squared / (direction @ image)
        solution = solution + size * direction
        residual = residual - size * image
        before, squared = squared, residual @ residual
        direction = residual + (squared / before) * direction
    return solution


def _mean_over_ranks(values: Tensor) -> Tensor:
    mean = values.clone()
    ranks.average_([mean])
    return mean
