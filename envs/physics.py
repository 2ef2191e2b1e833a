"""Batched MuJoCo: one call steps every sub-environment, in native threads.

`python -m benchmarks.physics` measures it against bare MuJoCo.
"""

from __future__ import annotations

import copy as copying
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs.cores import usable_cores
from envs.errors import require_positive

if TYPE_CHECKING:
    import mujoco

    from envs.mujoco_loop import Addresses, Moved, MujocoLoop

State = NDArray[np.float64]


def physics_state() -> int:
    """MuJoCo's bit mask of what a step depends on."""
    import mujoco  # here and below: only for those who simulate

    mask: int = mujoco.mjtState.mjSTATE_FULLPHYSICS.value | mujoco.mjtState.mjSTATE_WARMSTART.value
    return mask


class Models:
    """The model of each sub-environment, by index; they share one until they need their own.

    Args:
        shared: the model that all begin with.
        num_envs: number of sub-environments.

    Attributes:
        shared: the model that all began with.
        addresses: where the models are in memory, `[num_envs]`.
    """

    def __init__(self, shared: mujoco.MjModel, num_envs: int) -> None:
        self.shared = shared
        self._models = [shared] * num_envs
        self.addresses: Addresses = np.full(num_envs, shared._address)

    def __getitem__(self, env_id: int) -> mujoco.MjModel:
        return self._models[env_id]

    def own(self, env_id: int) -> mujoco.MjModel:
        """A model that the sub-environment does not share."""
        if self._models[env_id] is self.shared:
            self._models[env_id] = copying.copy(self.shared)
            self.addresses[env_id] = self._models[env_id]._address
        return self._models[env_id]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self.addresses = np.array([model._address for model in self._models])  # elsewhere than when it was copied


class BatchedPhysics:
    """A batch of MuJoCo simulations that step together.

    The state of each is a row of numbers that determine its next step: time, positions, velocities, activations, the
    constraint solver's warm start, and what `more_parts` adds. Threads and their working memory are created by the
    first step.

    Readings are quantities that MuJoCo derives from the state: those that its step leaves behind,
    exactly as Gymnasium's environments read them. Where contact forces are among them, the step is
    completed by `mj_rnePostConstraint`, which computes them.

    Args:
        model: a model with the sizes of all models. MuJoCo's automatic reset must be disabled in it, because a
            reset would hide that the simulation broke down.
        substeps: physics steps per action; the action is held.
        threads: native threads, at least 1; None takes one per core that this process may use.
        fields: names of the fields of `mjData` to read, in the order of the readings.
        more_parts: MuJoCo's bit mask of what else belongs to a state row, at its end.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        substeps: int,
        threads: int | None = None,
        fields: Sequence[str] = (),
        more_parts: int = 0,
    ) -> None:
        if threads is not None:
            require_positive("threads", threads)
        self.model = model
        self.substeps = substeps
        self.dt: float = model.opt.timestep * substeps
        self.threads = threads or usable_cores()
        self._fields = tuple(fields)
        self._parts = physics_state() | more_parts
        first, middle, last = 1, 1 + model.nq, 1 + model.nq + model.nv  # the state begins with the time
        self._positions, self._velocities, self._motion = slice(first, middle), slice(middle, last), slice(first, last)

    @cached_property
    def _loop(self) -> MujocoLoop:
        import mujoco

        from envs.mujoco_loop import MujocoLoop  # imports numba

        return MujocoLoop([mujoco.MjData(self.model) for _ in range(self.threads)], self._parts, self._fields)

    def __getstate__(self) -> dict[str, Any]:
        # A duplicate has its own threads.
        return {name: value for name, value in self.__dict__.items() if name != "_loop"}

    @cached_property
    def initial_state(self) -> State:
        """The model's initial state, `[state]`."""
        import mujoco

        state = np.zeros(mujoco.mj_stateSize(self.model, self._parts))
        state[self._positions] = self.model.qpos0
        return state

    @cached_property
    def field_slices(self) -> dict[str, slice]:
        """Where each field lies within the readings."""
        import mujoco

        data, slices, start = mujoco.MjData(self.model), {}, 0
        for name in self._fields:
            size = getattr(data, name).size
            slices[name] = slice(start, start + size)
            start += size
        return slices

    def positions(self, state: State) -> State:
        """Generalized positions within `state` `[n, state]`, as a view `[n, nq]`."""
        return state[..., self._positions]

    def motion(self, state: State) -> State:
        """Positions and velocities within `state` `[n, state]`, as a view `[n, nq + nv]`."""
        return state[..., self._motion]

    def velocities(self, state: State) -> State:
        """Generalized velocities within `state` `[n, state]`, as a view `[n, nv]`."""
        return state[..., self._velocities]

    def advance(self, models: Addresses, state: State, controls: State) -> Moved:
        """One action, held for all substeps.

        Args:
            models: addresses of the models, `[n]`; see `Models`.
            state: `[n, state]`.
            controls: `[n, nu]`, in the actuators' units; MuJoCo clips them to their ranges.
        """
        return self._loop.run(models, self.substeps, state, controls)

    def read(self, models: Addresses, state: State) -> State:
        """The readings `[n, readings]` in `state` `[n, state]`."""
        if not self._fields:
            return np.empty((len(state), 0))
        return self._loop.run(models, 0, state, np.zeros((len(state), self.model.nu))).readings
