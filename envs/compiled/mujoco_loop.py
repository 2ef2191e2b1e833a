"""A loop over copies that calls MuJoCo's own C functions, shared by threads that never wait for Python.

The threads share their work through a few integers in memory. `LEFT` is the number of copies that nobody has taken yet:
a thread takes one by lowering it, and learns only then what call it belongs to, which cannot end before. So a helper
that comes late finds nothing to do, or the next call's work, and nobody has to wait for it. A helper looks for work for
a while, and then sleeps until the caller wakes it.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import Any, NamedTuple

import llvmlite.binding
import mujoco
import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from envs.compiled.atomics import INTEGER_BYTES, add, exchange, load, replace
from envs.compiled.compilation import compiled

Numbers = NDArray[np.float64]
Integers = NDArray[np.int64]
Addresses = Integers
"""Where in memory MuJoCo keeps something."""

AFTER_CONSTRAINTS = ("cacc", "cfrc_int", "cfrc_ext")  # what `mj_rnePostConstraint` computes, and `mj_step` does not
NUMBER_BYTES = 8
LARGEST_NUMBER: float = mujoco.mjMAXVAL
PATIENCE = 400  # looks for work before a helper sleeps: about 0.2 ms, longer than Python takes between two steps

(_LIBRARY,) = Path(mujoco.__file__).parent.glob("libmujoco.*")
llvmlite.binding.load_library_permanently(str(_LIBRARY))  # compiled code finds its functions by their names


def _function(name: str, result: Any, *arguments: Any) -> Any:
    return types.ExternalFunction(name, result(*arguments))


_MODEL = _DATA = _NUMBERS = types.int64  # addresses
_step = _function("mj_step", types.void, _MODEL, _DATA)
_forward = _function("mj_forward", types.void, _MODEL, _DATA)
_complete = _function("mj_rnePostConstraint", types.void, _MODEL, _DATA)
_set_state = _function("mj_setState", types.void, _MODEL, _DATA, _NUMBERS, types.uint32)
_get_state = _function("mj_getState", types.void, _MODEL, _DATA, _NUMBERS, types.uint32)
_env_ids = _function("mju_copy", types.void, _NUMBERS, _NUMBERS, types.int32)
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
    """What an action has led to.

    Attributes:
        state: after it, `[copies, state]`.
        readings: after it, `[copies, readings]`.
        diverged: whose simulation broke down, indices: their state or accelerations are not finite, or so large
            that MuJoCo calls them bad.
    """

    state: Numbers
    readings: Numbers
    diverged: Integers


NOBODY = np.empty(0, np.int64)


@njit(nogil=True)
def _take(shared: Integers) -> int:
    """A copy that nobody else has taken; −1 if there is none."""
    place = shared[LEFT:].ctypes.data
    while True:
        left = load(place)
        if left == 0:
            return -1
        if replace(place, left, left - 1):
            return left - 1


@njit(nogil=True)
def _advance(env_id: int, shared: Integers, job: Any, place: Integers, sizes: Integers) -> None:
    """One action of one copy."""
    data, control, acceleration = place[0], place[1], place[2]
    model = load(job.models + INTEGER_BYTES * env_id)
    row = NUMBER_BYTES * job.state_size
    after = job.after + row * env_id
    _set_state(model, data, job.state + row * env_id, job.parts)
    _env_ids(control, job.controls + NUMBER_BYTES * sizes[0] * env_id, sizes[0])
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
        _env_ids(reading, place[1 + field], sizes[field])
        reading += NUMBER_BYTES * sizes[field]
    broken = broken or not _norm(after, job.state_size) <= LARGEST_NUMBER
    exchange(job.diverged + INTEGER_BYTES * env_id, broken)
    add(shared[BROKEN:].ctypes.data, broken)
    add(shared[DONE:].ctypes.data, 1)


@partial(compiled, nogil=True)
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
    """Hand out a call's copies, take part, and wait until all is done; how many copies broke down.

    All of it is one compiled call, so that nothing can interrupt it while helpers write into its arrays.
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


@partial(compiled, nogil=True)
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
    """Advances copies of a MuJoCo model in threads.

    The thread that calls takes part, and the helpers take what they come to. Where none comes, as in a process that
    was forked from another one, the caller does everything. Not to be called by two threads at once.

    Args:
        data: each thread's `mjData`.
        parts: MuJoCo's bit mask of the parts of a state row. All that a step depends on must be among them.
        fields: names of the fields of `mjData` to read after an action. Forces and accelerations of the bodies
            (`AFTER_CONSTRAINTS`) are computed only if one of them is among these.

    Raises:
        ValueError: if a field holds other than float64.
    """

    def __init__(self, data: Sequence[mujoco.MjData], parts: int, fields: Sequence[str]) -> None:
        names = ("ctrl", "qacc", *fields)
        other = [name for name in fields if getattr(data[0], name).dtype != np.float64]
        if other:
            raise ValueError(f"{', '.join(other)}: only fields of float64 can be read.")
        self._data = data  # so long as its memory is in use
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
        if self._queues:  # compiled by now: a process that is forked while a helper compiles could never compile again
            _help(self._shared, self._jobs, self._place, self._sizes, ASLEEP)
        for seat, (place, calls) in enumerate(zip(places[1:], self._queues), ASLEEP):
            arguments = calls, self._shared, self._jobs, place, self._sizes, seat
            helper = Thread(target=_serve, args=arguments, name=f"physics-{seat - ASLEEP}", daemon=True)
            helper.start()
            weakref.finalize(self, _dismiss, helper, calls)

    def run(self, models: Addresses, substeps: int, state: Numbers, controls: Numbers) -> Moved:
        """Advance every copy by one action.

        Args:
            models: each copy's `mjModel`, `[copies]`.
            substeps: physics steps; with 0, the derived quantities are computed and nothing moves.
            state: `[copies, state]`.
            controls: `[copies, nu]`.
        """
        num_envs = len(models)
        if state.shape != (num_envs, self._state_size) or controls.shape != (num_envs, self._control_size):
            raise ValueError(f"{num_envs} models, but states {state.shape} and controls {controls.shape}.")
        after, readings = np.empty(state.shape), np.empty((num_envs, self._reading_size))
        # Their addresses are all that compiled code knows of them.
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
