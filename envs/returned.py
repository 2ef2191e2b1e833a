"""What a class of the user's own returned, as a tensor of the right kind that nobody else holds, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.errors import ContractError

KINDS = {torch.float32: "numbers (float32)", torch.bool: "flags (bool)"}
CPU = torch.device("cpu")


def returned(
    value: Any,
    owner: object,
    part: str,
    shape: tuple[int, ...],
    dtype: torch.dtype = torch.float32,
    device: torch.device = CPU,
) -> Tensor:
    """`value` as a new, contiguous tensor: whoever returned it may go on changing their own.

    Numbers of other kinds (float64, integers, flags) and numpy's arrays are converted, for that loses nothing that
    counts; a gradient is left behind.

    Args:
        value: what was returned.
        owner: the object whose method returned it.
        part: that method, as in the message about `Thermostat._observe`.
        shape: what it must have.
        dtype: what it becomes: float32, or bool for flags, which may be given as zeros and ones.
        device: where it goes.

    Raises:
        ContractError: if it is not made of numbers, has another shape, or a flag is neither 0 nor 1.
    """
    if type(value) is not Tensor or value.dtype is not dtype or value.shape != shape or value.device != device:
        value = _converted(value, f"{type(owner).__name__}.{part}", shape, dtype).to(device)
    if value.requires_grad:
        value = value.detach()
    copy: Tensor = value.clone() if value.is_contiguous() else value.clone(memory_format=torch.contiguous_format)
    return copy


def _converted(value: Any, owner: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    expected = f"{KINDS[dtype]} of shape {shape}"
    try:
        tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
    except (TypeError, ValueError, RuntimeError):  # of text, of objects, of rows of different lengths
        raise ContractError(owner, described(value), expected) from None
    if tuple(tensor.shape) != shape or tensor.is_complex():
        raise ContractError(owner, described(value), expected)
    if dtype is torch.bool and tensor.dtype is not torch.bool and not bool(((tensor == 0) | (tensor == 1)).all()):
        raise ContractError(owner, f"{described(value)} with other values than 0 and 1", expected)
    return tensor.to(dtype)


def described(value: Any) -> str:
    """A value's kind, for a message."""
    if isinstance(value, Tensor | np.ndarray):
        kind = "a tensor" if isinstance(value, Tensor) else "an array"
        return f"{kind} of {str(value.dtype).removeprefix('torch.')} and shape {tuple(value.shape)}"
    return "None" if value is None else f"a {type(value).__name__}"
