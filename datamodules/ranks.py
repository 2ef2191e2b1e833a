"""Several processes (ranks) that train one agent together, and how they communicate.

In a single process (rank 0 of 1) these functions do nothing. Where there are several, all
ranks must make the same calls in the same order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import Tensor

from envs.errors import require

OTHER_RANKS = "other_ranks"

Value = TypeVar("Value")


class FailedElsewhere(RuntimeError):
    """Another rank has failed and reports why, or was killed."""

    def __init__(self) -> None:
        super().__init__("another rank has failed or was killed")


@contextmanager
def _exchange() -> Iterator[None]:
    """For code in which only the connection can fail.

    Raises:
        FailedElsewhere: if it fails.
    """
    try:
        yield
    except RuntimeError as error:
        raise FailedElsewhere from error


def world_size() -> int:
    """The number of ranks."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this rank, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def share(values: Tensor) -> Tensor:
    """This rank's part `[n, ...]` of `values` `[number of ranks * n, ...]`."""
    return values if world_size() == 1 else values.chunk(world_size())[rank()]


def gather_objects(value: Value) -> list[Value]:
    """The `value` of every rank; what is in it must be on the CPU."""
    values: list[Any] = [value] * world_size()
    if world_size() > 1:
        with _exchange():
            dist.all_gather_object(values, value)
    return values


def gather(rows: Tensor) -> Tensor:
    """The `rows` `[n, ...]` of all ranks, of which each may have another n, in the order of the ranks."""
    return rows if world_size() == 1 else torch.cat(gather_objects(rows.detach().cpu())).to(rows.device)


def total(value: int) -> int:
    """The sum of all ranks' values."""
    return value if world_size() == 1 else _reduced(value, dist.ReduceOp.SUM)


def largest(value: int) -> int:
    """The largest of all ranks' values."""
    return value if world_size() == 1 else _reduced(value, dist.ReduceOp.MAX)


def smallest(value: int) -> int:
    """The smallest of all ranks' values."""
    return -largest(-value)


def _reduced(value: int, operation: Any) -> int:
    shared = _transferable(torch.tensor(value))
    with _exchange():
        dist.all_reduce(shared, operation)
    return int(shared)


def _transferable(tensor: Tensor) -> Tensor:
    """`tensor` where the ranks can exchange it: NCCL knows GPUs only."""
    return tensor.cuda() if dist.get_backend() == "nccl" else tensor


def average_(tensors: Sequence[Tensor]) -> None:
    """Replace `tensors`, of the same shapes on all ranks, by their means over the ranks."""
    if world_size() == 1 or not tensors:
        return
    flat = _transferable(torch.cat([tensor.flatten() for tensor in tensors]))
    with _exchange():
        dist.all_reduce(flat)
    flat /= world_size()
    for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
        tensor.copy_(mean.view_as(tensor))


def mean_by_name(metrics: dict[str, float]) -> dict[str, float]:
    """The means of `metrics` over the ranks that have them."""
    if world_size() == 1:
        return metrics
    values: dict[str, list[float]] = defaultdict(list)
    for of_rank in gather_objects(metrics):
        for name, value in of_rank.items():
            values[name].append(value)
    return {name: sum(of_name) / len(of_name) for name, of_name in values.items()}


@contextmanager
def failing_together() -> Iterator[None]:
    """An error of one rank inside stops all ranks; the code inside must not wait for another rank.

    Raises:
        FailedElsewhere: on the ranks that have no error of their own.
    """
    try:
        yield
    except Exception:
        largest(1)
        raise
    if largest(0) > 0:
        raise FailedElsewhere


def with_other_ranks(state: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's state: rank 0's `state`, and those of the other ranks, if there are any, in it."""
    first, *others = gather_objects(state)
    return {**first, OTHER_RANKS: others} if others else state


def state_of_own_rank(state: dict[str, Any]) -> dict[str, Any]:
    """What this rank gave to `with_other_ranks`.

    Raises:
        ConfigurationError: if there were more or fewer ranks then.
    """
    states: list[dict[str, Any]] = [state, *state.get(OTHER_RANKS, [])]
    require_as_many(len(states))
    return states[rank()]


def require_as_many(saved: int) -> None:
    """Raise a `ConfigurationError` unless there are as many ranks as a checkpoint was `saved` by."""
    require(
        world_size() == saved,
        "devices",
        world_size(),
        f"the checkpoint is of a run of {saved} process{'' if saved == 1 else 'es'} in all",
        f"Start {saved} (devices times num_nodes).",
        of=pl.Trainer,
    )
