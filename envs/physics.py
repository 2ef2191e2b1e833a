"""Batched MuJoCo: one call advances every copy, in native threads."""

from __future__ import annotations

import os

import mujoco
import numpy as np
from mujoco.rollout import Rollout
from numpy.typing import NDArray

State = NDArray[np.float64]


class BatchedPhysics:
    """Copies of a MuJoCo model that advance together.

    A copy's state is a row of MuJoCo's full physics state: time, positions, velocities,
    activations. `mujoco.rollout` advances the rows in its own threads, without Python in between;
    warm starts are not carried over, so a row is all that the next step depends on.

    Args:
        model: the model that every copy has.
        substeps: physics steps per action; the action is held.
        threads: native threads; None takes one per core that this process may use.
    """

    def __init__(self, model: mujoco.MjModel, substeps: int, threads: int | None = None) -> None:
        self.model = model
        self.substeps = substeps
        self.dt: float = model.opt.timestep * substeps
        threads = threads or len(os.sched_getaffinity(0))
        self._data = [mujoco.MjData(model) for _ in range(threads)]
        self._rollout = Rollout(nthread=threads)

    @property
    def initial_state(self) -> State:
        """The model's initial state, `[state]`."""
        state = np.zeros(mujoco.mj_stateSize(self.model, mujoco.mjtState.mjSTATE_FULLPHYSICS))
        data = mujoco.MjData(self.model)
        mujoco.mj_getState(self.model, data, state, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        return state

    def positions(self, state: State) -> State:
        """Generalised positions within `state` `[copies, state]`, as a view `[copies, nq]`."""
        return state[..., 1 : 1 + self.model.nq]

    def velocities(self, state: State) -> State:
        """Generalised velocities within `state` `[copies, state]`, as a view `[copies, nv]`."""
        start = 1 + self.model.nq
        return state[..., start : start + self.model.nv]

    def advance(self, state: State, controls: NDArray[np.float64]) -> State:
        """The states `[copies, state]` after one action, held for all substeps.

        Args:
            state: `[copies, state]`.
            controls: `[copies, nu]`, in the actuators' units; MuJoCo clips them to their ranges.
        """
        held = np.repeat(controls[:, None], self.substeps, axis=1)
        trajectory, _ = self._rollout.rollout(self.model, self._data, state, held)
        return np.ascontiguousarray(trajectory[:, -1])
