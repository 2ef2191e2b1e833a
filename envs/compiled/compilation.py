"""How the loops are compiled: once for a machine where numba finds a folder to keep them in, else in every process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function, nogil: bool = False) -> Function:
    """The function, compiled when it is first called.

    Args:
        function: what numba is to compile.
        nogil: whether Python's other threads go on meanwhile.
    """
    try:
        result: Function = njit(function, nogil=nogil, cache=True)
    except RuntimeError:  # no such folder, as in a read-only container without a home
        result = njit(function, nogil=nogil)
    return result
