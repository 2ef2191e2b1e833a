"""The number of threads that networks use on a CPU."""

from __future__ import annotations

import os

import torch
from pytorch_lightning.utilities import rank_zero_warn

VARIABLE = "OMP_NUM_THREADS"


def use_threads(number: int) -> None:
    """Use `number` threads, in this process and in the ranks that it starts."""
    torch.set_num_threads(number)
    os.environ[VARIABLE] = str(number)  # or Lightning would choose a number for several ranks


def warn_of_threads(device: torch.device) -> None:
    """Warn if torch chose several threads itself.

    OpenMP's threads wait for each other after every operation, and by default they do so by spinning. On cores
    that other programs use too, small networks become very slow: 1.4 instead of 41 gradient steps a second on two
    busy cores.

    Args:
        device: where the networks are.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1 or VARIABLE in os.environ:
        return
    rank_zero_warn(
        f"The networks run on {threads} threads, torch's own choice. On a machine that runs other programs too, "
        "this can make small networks thirty times slower. Choose: torch.set_num_threads(1) before training, or "
        f"--threads=1 on the command line; to keep {threads} without this warning, set {VARIABLE}={threads} "
        "(OMP_WAIT_POLICY=passive, set before Python starts, lets waiting threads sleep)."
    )
