"""How many threads the networks use on a CPU."""

from __future__ import annotations

import os

import torch
from pytorch_lightning.utilities import rank_zero_warn

VARIABLE = "OMP_NUM_THREADS"


def use_threads(number: int) -> None:
    """Use that many threads, here and in the ranks that are started from here."""
    torch.set_num_threads(number)
    os.environ[VARIABLE] = str(number)  # or Lightning would choose a number for several ranks


def warn_of_threads(device: torch.device) -> None:
    """Warn of several threads that nobody asked for.

    OpenMP's threads wait for each other after every operation, and by default they do so by spinning. Where other
    programs want the cores too, small networks come to a standstill: 1.4 instead of 41 gradient steps a second on two
    busy cores.

    Args:
        device: where the networks are.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1 or VARIABLE in os.environ:
        return
    rank_zero_warn(
        f"The networks run on {threads} threads, torch's own choice. On a machine that does other work too, small "
        "networks may be slowed down thirtyfold by that. Choose: torch.set_num_threads(1) before training, or "
        f"--threads=1 on the command line; to keep {threads} without this warning, set {VARIABLE}={threads} "
        "(OMP_WAIT_POLICY=passive, set before Python starts, lets waiting threads sleep)."
    )
