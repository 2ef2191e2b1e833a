"""Stopping a run at the first loss, gradient or network output that is not finite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from datamodules import ranks
from envs.errors import NonFiniteError


class NonFiniteUpdate(NonFiniteError):
    """A term of an update is not finite.

    Args:
        terms: what is not finite.
        meta_step: number of the update in the run, from 1.
        batch: what the update was computed from.
    """

    def __init__(self, terms: list[str], meta_step: int, batch: Any) -> None:
        self.terms = terms
        self.meta_step = meta_step
        self.batch = batch
        named = " and ".join([", ".join(terms[:-1]), terms[-1]] if len(terms) > 1 else terms)
        super().__init__(f"{named} {'is' if len(terms) == 1 else 'are'} not finite at meta-step {meta_step}.")


class GradientWatch:
    """The gradient norms of an update's optimizer steps, which are checked when the update is over.

    A fused optimizer skips its step if the norm is not finite, so that a non-finite term does not spread to the
    terms computed after it.
    """

    def __init__(self) -> None:
        self._norms: list[Tensor] = []
        self._optimizers: list[torch.optim.Optimizer] = []

    def observe(self, optimizer: torch.optim.Optimizer) -> None:
        """Record the norm of the gradient that `optimizer` is about to apply."""
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not gradients:
            return
        norm = torch.stack(torch._foreach_norm(gradients)).sum()
        self._norms.append(norm)
        self._optimizers.append(optimizer)
        if optimizer.defaults.get("fused"):
            optimizer.found_inf = (~torch.isfinite(norm)).to(torch.float32)  # type: ignore[attr-defined]

    def take(self) -> tuple[list[Tensor], list[torch.optim.Optimizer]]:
        """The sums of the parameters' norms since the last call, and the optimizers."""
        taken = self._norms, self._optimizers
        self._norms, self._optimizers = [], []
        return taken


def check_finite(
    module: nn.Module, scalars: Mapping[str, Tensor], gradients: GradientWatch, meta_step: int, batch: Any
) -> None:
    """Raise `NonFiniteUpdate`, on all ranks, unless all scalars and gradient norms of an update are finite."""
    norms, optimizers = gradients.take()
    values = [*scalars.values(), *norms]
    if not values:
        return
    finite = torch.isfinite(torch.stack([value.float() for value in values]))
    if ranks.smallest(int(finite.all())) == 1:
        return
    broken = (~finite).tolist()
    terms = [name for name, wrong in zip(scalars, broken) if wrong]
    for optimizer, wrong in zip(optimizers, broken[len(scalars) :]):
        term = f"the gradient of {_owners(module, optimizer)}"
        if wrong and term not in terms:
            terms.append(term)
    of_all_ranks = list(dict.fromkeys(term for of_rank in ranks.gather_objects(terms) for term in of_rank))
    raise NonFiniteUpdate(of_all_ranks, meta_step, batch)


def _owners(module: nn.Module, optimizer: torch.optim.Optimizer) -> str:
    """The submodules whose parameters `optimizer` updates."""
    changed = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    parts = {name.split(".")[0]: None for name, parameter in module.named_parameters() if id(parameter) in changed}
    return "/".join(parts)


def tensors_of(batch: Any, name: str = "") -> dict[str, Tensor]:
    """All tensors in a batch, named by their path (`transitions/reward`)."""
    if isinstance(batch, Tensor):
        return {name: batch.detach().cpu().contiguous()}
    parts: dict[str, Any] = {}
    if isinstance(batch, TensorDict | Mapping):
        parts = dict(batch.items())
    elif is_dataclass(batch):
        parts = {field.name: getattr(batch, field.name) for field in fields(batch)}
    elif isinstance(batch, list | tuple):
        parts = {str(index): part for index, part in enumerate(batch)}
    inside = [tensors_of(part, f"{name}/{key}" if name else str(key)) for key, part in parts.items()]
    return {key: tensor for tensors in inside for key, tensor in tensors.items()}
