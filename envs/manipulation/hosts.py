"""Many scenes at once: in this process, or spread over worker processes.

Half of a Meta-World step is Python, which holds the interpreter's lock, so threads gain less than processes, which
gain almost a factor of their number (`python -m benchmarks.metaworld`).
"""

from __future__ import annotations

import atexit
import itertools
import multiprocessing
import os
import pickle
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.cores import usable_cores
from envs.errors import SimulationError, in_brief
from envs.manipulation.scenes import OBSERVATION, READINGS, Numbers, Scene
from envs.signals import leave_signals_to_the_parent

SPARE_SCENES = 8  # kept for later environments, such as that of the next validation; 20 MB each
Key = tuple[int, int]
"""Which scene: number of the environment within this process, and index of the sub-environment."""


class Assignment(NamedTuple):
    """What a scene is to play.

    Attributes:
        scene: its name.
        reward_version: Meta-World's `reward_function_version`.
        variation: the task's random vector.
    """

    scene: str
    reward_version: str
    variation: Numbers


class SceneHost(ABC):
    """Where scenes live; rows of all results are in the order of the keys."""

    def __init__(self) -> None:
        self._released: list[Key] = []

    def release(self, keys: Sequence[Key]) -> None:
        """Forget them at the next start: the garbage collector may call this in the middle of anything else."""
        self._released.extend(keys)

    @abstractmethod
    def start(self, keys: Sequence[Key], assignments: Sequence[Assignment]) -> Numbers:
        """Begin an episode in each; the observations, `[keys, OBSERVATION]`."""

    @abstractmethod
    def step(self, keys: Sequence[Key], actions: NDArray[np.float32]) -> Numbers:
        """One step of each under `actions` `[keys, 4]`; observations and readings, `[keys, OBSERVATION + READINGS]`."""

    @abstractmethod
    def save(self, keys: Sequence[Key]) -> list[Numbers]:
        """The exact state of each; they differ in length."""

    @abstractmethod
    def restore(self, keys: Sequence[Key], assignments: Sequence[Assignment], saved: Sequence[Numbers]) -> None:
        """Put each into a state that `save` gave."""


class LocalHost(SceneHost):
    """Scenes in this process, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._scenes: dict[Key, Scene] = {}
        self._spare: deque[Scene] = deque(maxlen=SPARE_SCENES)

    def _scene(self, key: Key, assignment: Assignment) -> Scene:
        """The scene of `key`; another one than before, if that is what it is to play."""
        kind = assignment.scene, assignment.reward_version
        if key in self._scenes and self._scenes[key].kind != kind:
            self._spare.append(self._scenes.pop(key))
        if key not in self._scenes:
            spare = next((scene for scene in self._spare if scene.kind == kind), None)
            if spare is not None:
                self._spare.remove(spare)
            self._scenes[key] = Scene(*kind) if spare is None else spare
        return self._scenes[key]

    def start(self, keys: Sequence[Key], assignments: Sequence[Assignment]) -> Numbers:
        released, self._released = self._released, []
        self._spare.extend(self._scenes.pop(key) for key in released if key in self._scenes)
        pairs = zip(keys, assignments)
        return np.array([self._scene(key, assignment).start(assignment.variation) for key, assignment in pairs])

    def step(self, keys: Sequence[Key], actions: NDArray[np.float32]) -> Numbers:
        return np.array([self._scenes[key].step(action) for key, action in zip(keys, actions)])

    def save(self, keys: Sequence[Key]) -> list[Numbers]:
        return [self._scenes[key].save() for key in keys]

    def restore(self, keys: Sequence[Key], assignments: Sequence[Assignment], saved: Sequence[Numbers]) -> None:
        for key, assignment, state in zip(keys, assignments, saved):
            self._scene(key, assignment).restore(assignment.variation, state)


def _send(connection: Connection, message: tuple[Any, ...]) -> None:
    """Plain pickling takes half the time of `Connection.send`, which looks for handles and sockets in the message."""
    connection.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))


def _receive(connection: Connection) -> Any:
    return pickle.loads(connection.recv_bytes())


def _serve(connection: Connection, inherited: list[Connection]) -> None:
    """A worker's life: answer requests until the other side is gone."""
    for other in inherited:  # or the death of the parent would go unnoticed
        other.close()
    leave_signals_to_the_parent()
    host = LocalHost()
    while True:
        try:
            request, method, arguments = _receive(connection)
        except (EOFError, OSError):
            return
        result, error = None, None
        try:
            result = getattr(host, method)(*arguments)
        except Exception as raised:
            error = f"{method} raises {in_brief(raised)}"
        try:
            _send(connection, (request, result, error))
        except (BrokenPipeError, OSError):
            return


def _rows_at(rows: Any, positions: list[int]) -> Any:
    """Some rows of an array, as one array, which is sent several times faster than its rows; or of a list."""
    return rows[positions] if isinstance(rows, np.ndarray) else [rows[position] for position in positions]


class ProcessHost(SceneHost):
    """Scenes spread over this process and workers, which all environments of this process share.

    This process takes a share of the scenes itself instead of waiting: it saves handing them to one more worker. A
    sub-environment stays in its process. The workers are forks where the system is Linux: they start at once and share
    what has been imported. They end with this process, however it ends.

    Args:
        processes: number of processes, this one included.
    """

    def __init__(self, processes: int) -> None:
        super().__init__()
        context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
        self._connections: list[Connection] = []
        self._workers: list[Any] = []
        self._mine = LocalHost()
        self._requests = itertools.count()
        for _ in range(processes - 1):
            mine, theirs = context.Pipe()
            worker = context.Process(target=_serve, args=(theirs, [*self._connections, mine]))
            worker.start()
            theirs.close()
            self._connections.append(mine)
            self._workers.append(worker)
        atexit.register(self.close)

    def close(self) -> None:
        """End the workers."""
        for connection in self._connections:
            connection.close()

    @property
    def is_alive(self) -> bool:
        """Whether every worker is."""
        return all(worker.is_alive() for worker in self._workers)

    def _places(self, keys: Sequence[Key]) -> list[list[int]]:
        """The positions within `keys` of the keys of each worker, and of this process.

        It is the last, and so never has more than the others: it has the handing over to do.
        """
        places: list[list[int]] = [[] for _ in range(len(self._connections) + 1)]
        for position, (_, env_id) in enumerate(keys):
            places[env_id % len(places)].append(position)
        return places

    def _ask(self, method: str, keys: Sequence[Key], *arguments: Any) -> list[tuple[list[int], Any]]:
        """Each process's answer for its share of the keys and of the rows of `arguments`, with their positions."""
        request, asked, answers = next(self._requests), [], []
        *places, mine = self._places(keys)
        for worker, positions in enumerate(places):
            if positions:
                shares = [_rows_at(argument, positions) for argument in (keys, *arguments)]
                with self._alive(worker):
                    _send(self._connections[worker], (request, method, shares))
                asked.append((worker, positions))
        if mine:
            shares = [_rows_at(argument, mine) for argument in (keys, *arguments)]
            answers.append((mine, getattr(self._mine, method)(*shares)))
        return answers + [(positions, self._answer(worker, request)) for worker, positions in asked]

    def _answer(self, worker: int, request: int) -> Any:
        while True:
            with self._alive(worker):
                number, result, error = _receive(self._connections[worker])
            if number != request:
                continue  # of a request whose answer nobody waited for, because a signal came between
            if error is not None:
                raise SimulationError(f"A Meta-World process failed: {error}.")
            return result

    @contextmanager
    def _alive(self, worker: int) -> Iterator[None]:
        """Nothing in here fails but the connection to a worker.

        Raises:
            SimulationError: if it does.
        """
        try:
            yield
        except (EOFError, OSError) as lost:
            self._workers[worker].join(timeout=1.0)  # or its exit code might not be known yet
            code = self._workers[worker].exitcode
            raise SimulationError(f"A Meta-World process has died (exit code {code}); was memory short?") from lost

    def _rows(self, width: int, answers: list[tuple[list[int], Any]]) -> Numbers:
        rows = np.empty((sum(len(positions) for positions, _ in answers), width))
        for positions, share in answers:
            rows[positions] = share
        return rows

    def start(self, keys: Sequence[Key], assignments: Sequence[Assignment]) -> Numbers:
        released, self._released = self._released, []
        self._ask("release", released)
        return self._rows(OBSERVATION, self._ask("start", keys, assignments))

    def step(self, keys: Sequence[Key], actions: NDArray[np.float32]) -> Numbers:
        return self._rows(OBSERVATION + len(READINGS), self._ask("step", keys, actions))

    def save(self, keys: Sequence[Key]) -> list[Numbers]:
        found = {position: state for places, share in self._ask("save", keys) for position, state in zip(places, share)}
        return [found[position] for position in range(len(keys))]

    def restore(self, keys: Sequence[Key], assignments: Sequence[Assignment], saved: Sequence[Numbers]) -> None:
        self._ask("restore", keys, assignments, saved)


@cache
def _shared_processes(processes: int, process: int) -> ProcessHost:
    return ProcessHost(processes)


def host_for(num_envs: int, processes: int | None) -> SceneHost:
    """Where an environment of `num_envs` sub-environments is simulated.

    Args:
        num_envs: number of sub-environments.
        processes: this one and its workers; None takes one per core that this process may use.
    """
    wanted = usable_cores() if processes is None else processes
    if min(wanted, num_envs) == 1:
        return LocalHost()
    host = _shared_processes(wanted, os.getpid())  # a fork of this process must not use its parent's workers
    if not host.is_alive:
        _shared_processes.cache_clear()
        host = _shared_processes(wanted, os.getpid())
    return host
