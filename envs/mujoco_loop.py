"""A compiled loop over sub-environments that calls MuJoCo's own C functions, shared by threads that never hold the GIL.

The threads share their work through a few atomic integers. `LEFT` counts the sub-environments that no thread has taken
yet: a thread takes one by decrementing it, and reads only then which call it belongs to, which cannot end before. A
helper that comes late finds nothing to do, or the next call's work, and nobody has to wait for it. A helper polls for
work for a while and then sleeps until the caller wakes it.

Compiled with numba, because a Python loop would take longer than the physics (`python -m benchmarks.physics`). All
compiled code of the project is in this file; only MuJoCo environments import it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import Any, NamedTuple, TypeVar, cast

import llvmlite.binding
import mujoco
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Numbers = NDArray[np.float64]
Integers = NDArray[np.int64]
Addresses = Integers
"""Where in memory MuJoCo keeps something."""

AFTER_CONSTRAINTS = ("cacc", "cfrc_int", "cfrc_ext")  # what `mj_rnePostConstraint` computes, and `mj_step` does not
NUMBER_BYTES = INTEGER_BYTES = 8
LARGEST_NUMBER: float = mujoco.mjMAXVAL
PATIENCE = 2500  # polls before a helper sleeps: about 0.7 ms, longer than an agent takes between two steps

(_LIBRARY,) = Path(mujoco.__file__).parent.glob("libmujoco.*")
llvmlite.binding.load_library_permanently(str(_LIBRARY))  # compiled code finds its functions by their names


def compiled(function: Function) -> Function:
    """`function` compiled without the GIL; kept on disk where numba finds a folder, else compiled in every process."""
    try:
        result: Function = njit(function, nogil=True, cache=True)
    except RuntimeError:  # no such folder, as in a read-only container without a home
        result = njit(function, nogil=True)
    return result


def _integer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, ir.IntType(8 * INTEGER_BYTES).as_pointer())


def _load(typing_context: Any, address: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_integer(builder, arguments[0]), "seq_cst", INTEGER_BYTES)

    return types.int64(types.int64), build


def _exchange(typing_context: Any, address: Any, value: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("xchg", _integer(builder, arguments[0]), arguments[1], "seq_cst")

    return types.int64(types.int64, types.int64), build


def _add(typing_context: Any, address: Any, amount: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", _integer(builder, arguments[0]), arguments[1], "seq_cst")

    return types.int64(types.int64, types.int64), build


def _replace(typing_context: Any, address: Any, old: Any, new: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        outcome = builder.cmpxchg(_integer(builder, arguments[0]), arguments[1], arguments[2], "seq_cst")
        return builder.extract_value(outcome, 1)

    return types.boolean(types.int64, types.int64, types.int64), build


# Atomic operations on an integer in memory that threads share; all threads see the same order of them.
load = cast(Callable[[int], int], intrinsic(_load))
"""`load(address)`: the integer there."""
exchange = cast(Callable[[int, int], int], intrinsic(_exchange))
"""`exchange(address, value)`: write the value; returns the integer that was there."""
add = cast(Callable[[int, int], int], intrinsic(_add))
"""`add(address, amount)`: add the amount; returns the integer that was there."""
replace = cast(Callable[[int, int, int], bool], intrinsic(_replace))
"""`replace(address, old, new)`: write the new integer if the old one is there; returns whether it was."""


def _function(name: str, result: Any, *arguments: Any) -> Any:
    return types.ExternalFunction(name, result(*arguments))


_MODEL = _DATA = _NUMBERS = types.int64  # addresses
_step = _function("mj_step", types.void, _MODEL, _DATA)
_forward = _function("mj_forward", types.void, _MODEL, _DATA)
_complete = _function("mj_rnePostConstraint", types.void, _MODEL, _DATA)
_set_state = _function("mj_setState", types.void, _MODEL, _DATA, _NUMBERS, types.uint32)
_get_state = _function("mj_getState", types.void, _MODEL, _DATA, _NUMBERS, types.uint32)
_copy = _function("mju_copy", types.void, _NUMBERS, _NUMBERS, types.int32)
_norm = _function("mju_norm", types.float64, _NUMBERS, types.int32)
_let_others_run = _function("sched_yield", types.int32)

# Places of the shared integers, in cache lines of their own.
LEFT, DONE, BROKEN, ASLEEP = 0, 8, 16, 24

JOB = np.dtype(
    [
        (name, np.int64)
        for name in (
            *("models", "state", "controls", "after", "readings", "diverged"),  # addresses of the call's arrays
            *("substeps", "parts", "state_size", "reading_size"),
            "completed",  # whether a field of `AFTER_CONSTRAINTS` is read
        )
    ]
)


class Moved(NamedTuple):
    """The outcome of an action.

    Attributes:
        state: after it, `[n, state]`.
        readings: after it, `[n, readings]`.
        diverged: indices of those whose simulation broke down: their state or accelerations are not finite, or so
            large that MuJoCo calls them bad; or a reading is not finite.
    """

    state: Numbers
    readings: Numbers
    diverged: Integers


NOBODY = np.empty(0, np.int64)


@njit(nogil=True)
def _take(shared: Integers) -> int:
    """A sub-environment that no thread has taken yet; −1 if there is none."""
    place = shared[LEFT:].ctypes.data
    while True:
        left = load(place)
        if left == 0:
            return -1
        if replace(place, left, left - 1):
            return left - 1


@njit(nogil=True)
def _advance(env_id: int, shared: Integers, job: Any, place: Integers, sizes: Integers) -> None:
    """One action of one sub-environment."""
    data, control, acceleration = place[0], place[1], place[2]
    model = load(job.models + INTEGER_BYTES * env_id)
    row = NUMBER_BYTES * job.state_size
    after = job.after + row * env_id
    _set_state(model, data, job.state + row * env_id, job.parts)
    _copy(control, job.controls + NUMBER_BYTES * sizes[0] * env_id, sizes[0])
    broken = False
    if job.substeps == 0:
        _forward(model, data)
    for _ in range(job.substeps):
        _step(model, data)
        broken = not _norm(acceleration, sizes[1]) <= LARGEST_NUMBER
        if broken:
            break
    _get_state(model, data, after, job.parts)
    if job.completed:
        _complete(model, data)
    reading = job.readings + NUMBER_BYTES * job.reading_size * env_id
    for field in range(2, len(sizes)):
        _copy(reading, place[1 + field], sizes[field])
        reading += NUMBER_BYTES * sizes[field]
    broken = broken or not _norm(after, job.state_size) <= LARGEST_NUMBER
    broken = broken or not _norm(job.readings + NUMBER_BYTES * job.reading_size * env_id, job.reading_size) < np.inf
    exchange(job.diverged + INTEGER_BYTES * env_id, broken)
    add(shared[BROKEN:].ctypes.data, broken)
    add(shared[DONE:].ctypes.data, 1)


@compiled
def _lead(
    shared: Integers,
    jobs: Any,
    place: Integers,
    sizes: Integers,
    models: Addresses,
    substeps: int,
    state: Numbers,
    controls: Numbers,
    after: Numbers,
    readings: Numbers,
    diverged: Integers,
) -> int:
    """Hand out a call's sub-environments, take part, and wait until all are done; how many of them broke down.

    It is a single compiled call, so that nothing can interrupt it while helpers write into its arrays.
    """
    job, num_envs = jobs[0], len(models)
    job.models, job.substeps = models.ctypes.data, substeps
    job.state, job.controls = state.ctypes.data, controls.ctypes.data
    job.after, job.readings, job.diverged = after.ctypes.data, readings.ctypes.data, diverged.ctypes.data
    shared[DONE] = shared[BROKEN] = 0
    exchange(shared[LEFT:].ctypes.data, num_envs)
    env_id = _take(shared)
    while env_id >= 0:
        _advance(env_id, shared, job, place, sizes)
        env_id = _take(shared)
    while load(shared[DONE:].ctypes.data) < num_envs:
        _let_others_run()
    return load(shared[BROKEN:].ctypes.data)


@compiled
def _help(shared: Integers, jobs: Any, place: Integers, sizes: Integers, seat: int) -> None:
    """Take part in this call and in those that follow soon."""
    looks = 0
    while looks < PATIENCE:
        env_id = _take(shared)
        if env_id >= 0:
            _advance(env_id, shared, jobs[0], place, sizes)
            looks = 0
        else:
            looks += 1
            _let_others_run()
    exchange(shared[seat:].ctypes.data, True)


def _serve(calls: SimpleQueue[bool], *arguments: Any) -> None:
    while calls.get():
        _help(*arguments)


def _dismiss(helper: Thread, calls: SimpleQueue[bool]) -> None:
    calls.put(False)
    if helper is not current_thread():
        helper.join()  # at the interpreter's end, no thread may be within compiled code


class MujocoLoop:
    """Steps batches of a MuJoCo model in threads.

    The calling thread takes part. Where no helper comes, as in a process that was forked from another one, it does
    all the work. Not to be called by two threads at once.

    Args:
        data: the `mjData` of each thread.
        parts: MuJoCo's bit mask of the parts of a state row. All that a step depends on must be among them.
        fields: names of the fields of `mjData` to read after an action. Forces and accelerations of the bodies
            (`AFTER_CONSTRAINTS`) are computed only if one of them is among these.

    Raises:
        ValueError: if a field is not float64.
    """

    def __init__(self, data: Sequence[mujoco.MjData], parts: int, fields: Sequence[str]) -> None:
        names = ("ctrl", "qacc", *fields)
        other = [name for name in fields if getattr(data[0], name).dtype != np.float64]
        if other:
            raise ValueError(f"{', '.join(other)}: only fields of float64 can be read.")
        self._data = data  # kept as long as its memory is in use
        self._sizes = np.array([getattr(data[0], name).size for name in names])
        places = [np.array([each._address, *(getattr(each, name).ctypes.data for name in names)]) for each in data]
        self._place, self._control_size = places[0], int(self._sizes[0])
        self._state_size, self._reading_size = mujoco.mj_stateSize(data[0].model, parts), int(self._sizes[2:].sum())
        self._jobs = np.zeros(1, JOB)
        job = self._jobs[0]
        job["parts"], job["state_size"], job["reading_size"] = parts, self._state_size, self._reading_size
        job["completed"] = any(name in AFTER_CONSTRAINTS for name in fields)
        self._shared = np.zeros(ASLEEP + len(data) - 1, np.int64)
        self._shared[ASLEEP:] = True
        self._queues: list[SimpleQueue[bool]] = [SimpleQueue() for _ in data[1:]]
        if self._queues:  # compile it now: a process that is forked while a helper compiles could never compile again
            _help(self._shared, self._jobs, self._place, self._sizes, ASLEEP)
        for seat, (place, calls) in enumerate(zip(places[1:], self._queues), ASLEEP):
            arguments = calls, self._shared, self._jobs, place, self._sizes, seat
            helper = Thread(target=_serve, args=arguments, name=f"physics-{seat - ASLEEP}", daemon=True)
            helper.start()
            weakref.finalize(self, _dismiss, helper, calls)

    def run(self, models: Addresses, substeps: int, state: Numbers, controls: Numbers) -> Moved:
        """Move every sub-environment by one action.

        Args:
            models: the `mjModel` of each sub-environment, `[n]`.
            substeps: physics steps; with 0, nothing moves and only derived quantities are computed.
            state: `[n, state]`.
            controls: `[n, nu]`.
        """
        num_envs = len(models)
        if state.shape != (num_envs, self._state_size) or controls.shape != (num_envs, self._control_size):
            raise ValueError(f"{num_envs} models, but states {state.shape} and controls {controls.shape}.")
        after, readings = np.empty(state.shape), np.empty((num_envs, self._reading_size))
        # Compiled code is given nothing but addresses.
        models = np.ascontiguousarray(models, np.int64)
        state, controls = np.ascontiguousarray(state, np.float64), np.ascontiguousarray(controls, np.float64)
        diverged = np.empty(num_envs, np.int64)
        for seat, calls in enumerate(self._queues, ASLEEP):
            if self._shared[seat]:
                self._shared[seat] = False
                calls.put(True)
        shared, jobs, place, sizes = self._shared, self._jobs, self._place, self._sizes
        broken = _lead(shared, jobs, place, sizes, models, substeps, state, controls, after, readings, diverged)
        return Moved(after, readings, np.flatnonzero(diverged) if broken else NOBODY)
