"""Random streams: every component owns one, derived from (seed, rank, purpose)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def derive_seed(seed: int, rank: int, purpose: str) -> int:
    """A 63-bit seed that differs for every (seed, rank, purpose)."""
    digest = hashlib.sha256(f"{seed}/{rank}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def make_generator(seed: int, rank: int, purpose: str) -> torch.Generator:
    """A CPU generator that no other component shares."""
    return torch.Generator().manual_seed(derive_seed(seed, rank, purpose))


def normal(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers from `generator`, on the device of `like`.

    The numbers are drawn where the generator lives, so that a run on a GPU and one on a CPU see
    the same stream.
    """
    return torch.randn(shape, generator=generator, device=generator.device).to(like.device)


@contextmanager
def sampling_from(generator: torch.Generator) -> Iterator[None]:
    """Let code that only knows the global generator (`torch.distributions`) draw from `generator`.

    The global stream is the same after the block as before it.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
