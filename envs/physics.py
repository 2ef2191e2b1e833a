"""Batched MuJoCo: one call advances every copy, in native threads.

Two engines stand behind one interface. `RolloutPhysics` is the faster one, and knows nothing but
the state; `ReadingPhysics` also reads quantities that MuJoCo derives from the state, such as
contact forces. `python -m benchmarks.physics` measures both against bare MuJoCo.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import mujoco
import numpy as np
from mujoco.rollout import Rollout
from numpy.typing import NDArray

from envs.cores import usable_cores

State = NDArray[np.float64]
PHYSICS_STATE: int = mujoco.mjtState.mjSTATE_FULLPHYSICS.value
LARGEST_NUMBER: float = mujoco.mjMAXVAL
WARM_STATE: int = PHYSICS_STATE | mujoco.mjtState.mjSTATE_WARMSTART.value


class BatchedPhysics(ABC):
    """Copies of a MuJoCo model that advance together.

    A copy's state is a row of numbers on which alone its next step depends: time, positions,
    velocities, activations, and what `state_parts` adds. Threads and their working memory come
    into being with the first step.

    Args:
        model: the model whose sizes every copy's model has. MuJoCo's automatic reset must be disabled
            in it, for a reset would hide that the simulation broke down.
        substeps: physics steps per action; the action is held.
        threads: native threads; None takes one per core that this process may use.
        state_parts: MuJoCo's bit mask of the parts of a state row.
    """

    def __init__(self, model: mujoco.MjModel, substeps: int, threads: int | None, state_parts: int) -> None:
        self.model = model
        self.substeps = substeps
        self.dt: float = model.opt.timestep * substeps
        self._least_progress = self.dt - 0.5 * model.opt.timestep
        self.threads = threads or usable_cores()
        self._state_parts = state_parts
        self._positions = slice(1, 1 + model.nq)
        self._velocities = slice(1 + model.nq, 1 + model.nq + model.nv)

    @cached_property
    def _data(self) -> list[mujoco.MjData]:
        return [mujoco.MjData(self.model) for _ in range(self.threads)]

    @cached_property
    def initial_state(self) -> State:
        """The model's initial state, `[state]`."""
        state = np.zeros(mujoco.mj_stateSize(self.model, self._state_parts))
        state[self._positions] = self.model.qpos0
        return state

    def positions(self, state: State) -> State:
        """Generalised positions within `state` `[copies, state]`, as a view `[copies, nq]`."""
        return state[..., self._positions]

    def velocities(self, state: State) -> State:
        """Generalised velocities within `state` `[copies, state]`, as a view `[copies, nv]`."""
        return state[..., self._velocities]

    def diverged(self, before: State, after: State) -> NDArray[np.bool_]:
        """Which copies' simulation broke down between two states `[copies, state]`, `[copies]`.

        A rollout stops at numbers that MuJoCo calls bad, and then the time has not moved on as it should.
        """
        broken: NDArray[np.bool_] = after[:, 0] < before[:, 0] + self._least_progress
        if not abs(float(after.sum())) <= LARGEST_NUMBER:  # so if any of them is NaN; a sum is quick
            broken |= ~(np.abs(after) <= LARGEST_NUMBER).all(-1)
        return broken

    @abstractmethod
    def advance(
        self, models: Sequence[mujoco.MjModel], state: State, controls: NDArray[np.float64]
    ) -> tuple[State, State]:
        """One action, held for all substeps.

        Args:
            models: one model a copy.
            state: `[copies, state]`.
            controls: `[copies, nu]`, in the actuators' units; MuJoCo clips them to their ranges.

        Returns:
            The states after it `[copies, state]`, and the readings `[copies, readings]`.
        """

    @abstractmethod
    def read(self, models: Sequence[mujoco.MjModel], state: State) -> State:
        """The readings `[copies, readings]` in `state` `[copies, state]`."""


class RolloutPhysics(BatchedPhysics):
    """States only, advanced by `mujoco.rollout`: no Python at all between the copies."""

    def __init__(self, model: mujoco.MjModel, substeps: int, threads: int | None = None) -> None:
        super().__init__(model, substeps, threads, PHYSICS_STATE)

    @cached_property
    def _rollout(self) -> Rollout:
        return Rollout(nthread=self.threads)

    def advance(
        self, models: Sequence[mujoco.MjModel], state: State, controls: NDArray[np.float64]
    ) -> tuple[State, State]:
        copies = len(state)
        trajectory = np.empty((copies, self.substeps, state.shape[1]))
        self._rollout.rollout(
            models,
            self._data,
            np.ascontiguousarray(state),
            np.repeat(controls[:, None], self.substeps, axis=1),
            skip_checks=True,
            nstep=self.substeps,
            state=trajectory,
            sensordata=np.empty((copies, self.substeps, self.model.nsensordata)),
            # Fewer chunks need fewer hand-overs; two a thread even out copies in hard contact.
            chunk_size=max(1, copies // (2 * self.threads)),
        )
        return trajectory[:, -1].copy(), np.empty((copies, 0))

    def read(self, models: Sequence[mujoco.MjModel], state: State) -> State:
        return np.empty((len(state), 0))


class ReadingPhysics(BatchedPhysics):
    """States and readings of `mjData`, advanced by `mj_step` in threads.

    The readings are those that MuJoCo's step leaves behind, completed by `mj_rnePostConstraint`,
    exactly as Gymnasium's environments read them. The constraint solver's warm start is part of the
    state. Python's share is a few calls a copy, which do not matter beside the heavy models that
    need readings.

    Args:
        model: the model whose sizes every copy's model has.
        substeps: physics steps per action; the action is held.
        fields: names of the fields of `mjData` to read, in the order of the readings.
        threads: native threads; None takes one per core that this process may use.
        state_parts: MuJoCo's bit mask of the parts of a state row, of which `WARM_STATE` are the first.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        substeps: int,
        fields: Sequence[str],
        threads: int | None = None,
        state_parts: int = WARM_STATE,
    ) -> None:
        super().__init__(model, substeps, threads, state_parts)
        self._fields = tuple(fields)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor | None:
        return ThreadPoolExecutor(self.threads - 1) if self.threads > 1 else None

    @cached_property
    def _views(self) -> list[list[State]]:
        """Flat views into each thread's `mjData`, in the order of the fields."""
        return [[getattr(data, name).reshape(-1) for name in self._fields] for data in self._data]

    @cached_property
    def field_slices(self) -> dict[str, slice]:
        """Where each field lies within the readings."""
        data, slices, start = mujoco.MjData(self.model), {}, 0
        for name in self._fields:
            size = getattr(data, name).size
            slices[name] = slice(start, start + size)
            start += size
        return slices

    @cached_property
    def _readings(self) -> int:
        return sum(part.stop - part.start for part in self.field_slices.values())

    def advance(
        self, models: Sequence[mujoco.MjModel], state: State, controls: NDArray[np.float64]
    ) -> tuple[State, State]:
        after = np.empty_like(state)
        readings = np.empty((len(state), self._readings))
        substeps, parts, slices = self.substeps, self._state_parts, list(self.field_slices.values())

        def work(thread: int, queue: Iterator[int]) -> None:
            data, views = self._data[thread], self._views[thread]
            for copy in queue:
                model = models[copy]
                mujoco.mj_setState(model, data, state[copy], parts)
                data.ctrl[:] = controls[copy]
                mujoco.mj_step(model, data, substeps)
                mujoco.mj_rnePostConstraint(model, data)
                mujoco.mj_getState(model, data, after[copy], parts)
                for part, view in zip(slices, views):
                    readings[copy, part] = view

        # One shared iterator: a thread takes the next copy when it is done with the last.
        queue = iter(range(len(state)))
        others = [self._pool.submit(work, thread, queue) for thread in range(1, self.threads)] if self._pool else []
        work(0, queue)
        for other in others:
            other.result()
        return after, readings

    def read(self, models: Sequence[mujoco.MjModel], state: State) -> State:
        readings = np.empty((len(state), self._readings))
        data = self._data[0]
        for copy, model in enumerate(models):
            mujoco.mj_setState(model, data, state[copy], self._state_parts)
            data.ctrl[:] = 0.0
            mujoco.mj_forward(model, data)
            mujoco.mj_rnePostConstraint(model, data)
            for part, view in zip(self.field_slices.values(), self._views[0]):
                readings[copy, part] = view
        return readings
