"""Integers that threads share: no addition is lost, and no number is taken twice."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, Thread

import numpy as np
from numba import njit

from envs.compiled.atomics import add, exchange, load, replace

THREADS, TIMES = 4, 3_000_000  # often enough that threads meet


@njit(nogil=True)
def _add_often(numbers: np.ndarray, times: int) -> None:
    place = numbers.ctypes.data
    for _ in range(times):
        add(place, 3)
        load(place)  # or a compiler might make one addition of all


@njit(nogil=True)
def _take_all(numbers: np.ndarray, takers: np.ndarray) -> None:
    place = numbers.ctypes.data
    while True:
        left = load(place)
        if left == 0:
            return
        if replace(place, left, left - 1):
            takers[left - 1] += 1


@njit
def _each_once(numbers: np.ndarray) -> tuple[int, int, bool, bool]:
    place = numbers.ctypes.data
    return exchange(place, 5), add(place, 2), replace(place, 8, 1), replace(place, 7, 9)


def _in_threads(work: Callable[..., None], *arguments: object) -> None:
    """Begin in all threads at once; the work must have been compiled."""
    start = Barrier(THREADS)

    def together() -> None:
        start.wait()
        work(*arguments)

    threads = [Thread(target=together) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_each_operation_gives_what_was_there() -> None:
    numbers = np.array([4])
    assert _each_once(numbers) == (4, 5, False, True)
    assert numbers[0] == 9


def test_no_addition_is_lost_between_threads() -> None:
    numbers = np.zeros(1, np.int64)
    _add_often(numbers, 0)
    _in_threads(_add_often, numbers, TIMES)
    assert numbers[0] == 3 * THREADS * TIMES


def test_no_number_is_taken_twice() -> None:
    numbers, takers = np.array([TIMES]), np.zeros(TIMES, np.int64)
    _take_all(np.zeros(1, np.int64), takers)
    _in_threads(_take_all, numbers, takers)
    assert (takers == 1).all()
