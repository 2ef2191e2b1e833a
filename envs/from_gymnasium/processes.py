"""All sub-environments, in this process and, by Gymnasium's `AsyncVectorEnv`, in others.

Each process simulates a group of sub-environments one after the other: with one process for every sub-environment,
handing over a step would take longer than most steps.
"""

from __future__ import annotations

import atexit
import itertools
import os
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.vector.async_vector_env import AsyncState, _async_worker

from envs.errors import SimulationError, in_brief
from envs.from_gymnasium.spaces import Numbers
from envs.from_gymnasium.sub_environment import Plan, SubEnvironment
from envs.signals import leave_signals_to_the_parent

FAILURE = "failure"
"""Where the message of an exception stands in a group's info and answers: an exception would end its process."""


class Group(gymnasium.Env[Numbers, Numbers]):
    """Some of the sub-environments, as one environment that `AsyncVectorEnv` can run.

    An action is a row for each, `[size, 1 + width]`, that begins with 1 if it is to make a step. An observation is a
    row for each, `[size, plan.width]`; that of one that makes no step is left over from before.

    Args:
        plan: how sub-environments are made.
        first: index of the first one.
        size: rows; the last may belong to none.
        parent: id of the process that made the environment.
    """

    def __init__(self, plan: Plan, first: int, size: int, parent: int) -> None:
        if os.getpid() != parent:
            leave_signals_to_the_parent()
        self._plan, self._first = plan, first
        self._envs: list[SubEnvironment | None] = [None] * size
        self._rows = np.zeros((size, plan.width))
        self._row_of_each = list(self._rows)  # views of it
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, self._rows.shape, np.float64)
        width = 1 + plan.actions.width
        self.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (size, width), np.float64)

    def step(self, actions: Numbers) -> tuple[Numbers, float, bool, bool, dict[str, Any]]:
        decoded = self._plan.actions.decode(actions[:, 1:])
        each = zip(actions[:, 0].tolist(), self._envs, decoded, self._row_of_each)
        for index, (steps, env, action, row) in enumerate(each):
            if steps:
                assert env is not None
                try:
                    env.step(action, row)
                except Exception as error:
                    return self._rows, 0.0, False, False, {FAILURE: self._told(index, "step", error)}
        return self._rows, 0.0, False, False, {}

    def ask(self, method: str, arguments: dict[int, tuple[Any, ...]]) -> dict[Any, Any]:
        """What a method of those of the sub-environments `arguments` that are here returns, by index."""
        answers: dict[Any, Any] = {}
        for env_id, given in arguments.items():
            index = env_id - self._first
            if 0 <= index < len(self._envs):
                env = self._envs[index] = self._envs[index] or SubEnvironment(self._plan)
                try:
                    answers[env_id] = getattr(env, method)(*given)
                except Exception as error:
                    return {FAILURE: self._told(index, method, error)}
        return answers

    def echo(self, token: int) -> int:
        """The token, whose return says that all earlier calls are over."""
        return token

    def _told(self, index: int, method: str, error: Exception) -> str:
        env = self._envs[index]
        return (
            f"{self._plan.factory.name}, sub-environment {self._first + index}, whose task is "
            f"{list(env.task) if env else []}: {method} raises {in_brief(error)}."
        )

    def close(self) -> None:
        for env in self._envs:
            if env is not None:
                env.close()


def _work(*arguments: Any) -> None:
    """Gymnasium's own worker, which ends without a traceback when the parent has gone."""
    with suppress(OSError):
        _async_worker(*arguments)


class Processes:
    """Simulates all sub-environments.

    Args:
        plan: how they are made.
        num_envs: number of sub-environments.
        processes: that simulate, this one included.

    Attributes:
        close: closes all environments and ends the other processes; later calls do nothing.
    """

    def __init__(self, plan: Plan, num_envs: int, processes: int) -> None:
        self._plan, self._num_envs = plan, num_envs
        size = -(-num_envs // processes)
        *others, last = range(0, num_envs, size)
        make = partial(Group, plan, size=size, parent=os.getpid())
        self._own, self._size = make(first=last), size
        self._groups = np.zeros((len(others) + 1, size, 1 + plan.actions.width))
        self._messages = self._groups.reshape(-1, 1 + plan.actions.width)  # shares its memory
        self._vector: Any = None
        self._tokens = itertools.count()
        self._is_calling = False  # the other processes; still so after an interrupt
        if others:
            self._vector = AsyncVectorEnv(
                [partial(make, first=first) for first in others],
                copy=False,
                context="fork" if sys.platform == "linux" else None,  # starts at once, and shares what is imported
                daemon=False,
                worker=_work,
                autoreset_mode=AutoresetMode.DISABLED,
            )
        self.close = weakref.finalize(self, _close, self._own, self._vector)
        if others:
            atexit.register(self.close)  # before the exit of multiprocessing, which would wait for them

    def step(self, actions: Numbers, env_ids: Numbers) -> Numbers:
        """Rows of the sub-environments `env_ids` `[n]` after their encoded `actions` `[n, width]`.

        The rows may change with the next step.

        Raises:
            SimulationError: if one of them fails.
        """
        chosen: Any = slice(self._num_envs)
        if len(env_ids) < self._num_envs:
            chosen = env_ids
            self._messages[:, 0] = 0.0
        self._messages[chosen, 0] = 1.0
        self._messages[chosen, 1:] = actions
        infos: dict[str, Any] = {}
        if self._vector is None:
            rows, *_, own_info = self._own.step(self._groups[-1])
        else:
            with self._calling():
                self._vector.step_async(self._groups[:-1])
                rows, *_, own_info = self._own.step(self._groups[-1])
                others, *_, infos = self._vector.step_wait()
            rows = np.concatenate((*others, rows))
        for failure in (own_info.get(FAILURE), *infos.get(FAILURE, ())):
            if failure is not None:
                raise SimulationError(failure)
        stepped: Numbers = rows[chosen]
        return stepped

    def ask(self, method: str, arguments: dict[int, tuple[Any, ...]]) -> dict[int, Any]:
        """What a method of the sub-environments that `arguments` lists returns, by their index.

        Raises:
            SimulationError: if one of them fails.
        """
        answers = self._own.ask(method, arguments)
        if self._vector is not None:
            with self._calling():
                for more in self._vector.call("ask", method, arguments):
                    answers.update(more)
        if FAILURE in answers:
            raise SimulationError(answers[FAILURE])
        return answers

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Nothing in here fails but the connection to a process.

        Raises:
            SimulationError: if one has died.
        """
        try:
            if self._is_calling:
                self._end_interrupted_call()
            self._is_calling = True
            yield
            self._is_calling = False
        except (EOFError, OSError) as lost:
            for process in self._vector.processes:
                process.join(timeout=0.2)
            codes = {number: process.exitcode for number, process in enumerate(self._vector.processes)}
            dead = next((number for number, code in codes.items() if code is not None), 0)
            first = dead * self._size
            _kill(self._vector)
            raise SimulationError(
                f"{self._plan.factory.name}: the process that simulates the sub-environments {first} to "
                f"{first + self._size - 1} has died (exit code {codes[dead]}); was memory short?"
            ) from lost

    def _end_interrupted_call(self) -> None:
        """Wait until the other processes are done with a call that was interrupted here, and drop its answers."""
        token = next(self._tokens)
        for pipe in self._vector.parent_pipes:
            pipe.send(("_call", ("echo", (token,), {})))
        for pipe in self._vector.parent_pipes:
            while pipe.recv() != (token, True):
                pass
        self._vector._state = AsyncState.DEFAULT


def _close(own: Group, vector: Any) -> None:
    """End the other processes, and close the environments in this one."""
    if vector is not None:
        _end(vector)
    own.close()


def _end(vector: Any) -> None:
    if vector._state is not AsyncState.DEFAULT:  # a call was interrupted, and may never end
        _kill(vector)
    try:
        vector.close()
    except (OSError, EOFError, gymnasium.error.Error):  # one of them has died
        _kill(vector)


def _kill(vector: Any) -> None:
    for process in vector.processes:
        process.kill()
    vector.closed = True
