"""Several ranks in a test: forked processes in the surroundings that torchrun gives them."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import torch.distributed as dist


def in_ranks(action: Callable[[int], Any], number: int = 2) -> list[int]:
    """Do something in as many processes; their exit statuses (minus the signal that killed them), by rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def start(rank: int) -> None:
        given = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": number, "LOCAL_WORLD_SIZE": number, "GROUP_RANK": 0}
        os.environ.update({name: str(value) for name, value in given.items()})
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_RUN_ID="test")
        os._exit(action(rank) or 0)

    children = [multiprocessing.get_context("fork").Process(target=partial(start, rank)) for rank in range(number)]
    for child in children:
        child.start()
    for child in children:
        child.join(300)
    stuck = [child for child in children if child.is_alive()]
    for child in stuck:
        child.kill()
    assert not stuck, "ranks wait for each other for ever"
    return [child.exitcode or 0 for child in children]


def connected(action: Callable[[int], Any]) -> Callable[[int], Any]:
    """The action, done when the ranks have found each other."""

    def connect(rank: int) -> Any:
        dist.init_process_group("gloo")
        return action(rank)

    return connect
