"""Transitions in memory-mapped files, for a replay that is larger than memory."""

from __future__ import annotations

import math
import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from envs.errors import ConfigurationError


def mapped_storage(like: TensorDict, capacity: int, folder: Path) -> Any:
    """A torchrl storage of `capacity` rows like those of `like` `[n]`, in files in `folder`.

    The files lose their names at once, so that the system frees their space when the process ends, however it ends.
    Their space is reserved, because writing to a mapped file on a full disk would kill the process.

    Raises:
        ConfigurationError: if there is no room, or the folder cannot be written.
    """
    from torchrl.data import TensorStorage  # slow to import

    try:
        folder.mkdir(parents=True, exist_ok=True)
        columns = {key: _mapped((capacity, *rows.shape[1:]), rows.dtype, folder) for key, rows in like.items()}
    except OSError as error:
        size = capacity * sum(rows[0].numel() * rows.element_size() for rows in like.values())
        reason = f"the {size / 1e6:,.0f} MB of {capacity:,} transitions cannot be kept there ({error.strerror})"
        hint = "Give another replay_folder, make room, or lower replay_capacity."
        raise ConfigurationError("replay_folder", str(folder), reason, hint) from error
    return TensorStorage(TensorDict(columns, [capacity]))


def _mapped(shape: tuple[int, ...], dtype: torch.dtype, folder: Path) -> Tensor:
    """A tensor in a file without a name."""
    numbers = math.prod(shape)
    with NamedTemporaryFile(dir=folder, prefix="replay_") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, numbers * dtype.itemsize))
        return torch.from_file(file.name, shared=True, size=numbers, dtype=dtype).view(shape)
