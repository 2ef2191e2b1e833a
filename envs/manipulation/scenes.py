"""One Meta-World environment at a time: start, step, exact state. Knows numpy and MuJoCo only."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import FunctionType, MethodType
from typing import Any

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.sawyer_xyz_env import SawyerXYZEnv
from metaworld.types import Task
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Numbers = NDArray[np.float64]

SCENES: tuple[str, ...] = tuple(ALL_V3_ENVIRONMENTS)
OBSERVATION = 39
LARGEST_OPENING = 0.1  # of the gripper, m
HAND_TURN = (1.0, 0.0, 1.0, 0.0)
FRAME = 18  # an observation is two frames and the goal, which is hidden
READINGS = ("hand_x", "hand_y", "hand_z", "reward", "success", "diverged")
"""What a step tells beside the observation: the point between the fingers (m), and what the benchmark says."""

# All that Meta-World's environments remember from one step to the next, beside the simulation and the last frame.
MEMORY = ("curr_path_length", "_target_to_obj_init", "pickCompleted", "placeCompleted", "reachCompleted")
CAN_ASSUME_VALID = "assume_valid" in inspect.signature(Rotation.from_matrix).parameters  # from scipy 1.17 on
STATE_PARTS: int = mujoco.mjtState.mjSTATE_INTEGRATION.value


@lru_cache(maxsize=64)
def _compiled(path: str) -> mujoco.MjModel:
    """The scene of an XML file. Compiling its meshes takes half a second, copying the result a fraction of that."""
    return mujoco.MjModel.from_xml_path(path)


def _initialize_from_saved(environment: MujocoEnv) -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = copy.copy(_compiled(environment.fullpath))
    return model, mujoco.MjData(model)


@contextmanager
def replaced(method: str, replacement: Callable[..., Any]) -> Iterator[None]:
    """Meta-World's environments have another method inside."""
    setattr(SawyerXYZEnv, method, replacement)  # hides the inherited one
    try:
        yield
    finally:
        delattr(SawyerXYZEnv, method)


@contextmanager
def compiled_scenes() -> Iterator[None]:
    """Environments made inside share compiled scenes; each still has a model of its own, which tasks change."""
    with replaced("_initialize_simulation", _initialize_from_saved):
        yield


class _ValidRotation:
    """scipy's `Rotation` of matrices that MuJoCo has computed."""

    @staticmethod
    def from_matrix(matrix: Numbers) -> Rotation:
        return Rotation.from_matrix(matrix, assume_valid=True)


def _unchecked(method: Callable[[], Any]) -> Callable[[], Any]:
    """A method of an environment that gives the same numbers, but does not ask whether rotations are rotations.

    The question takes a fifth of a step's time.
    """
    if not CAN_ASSUME_VALID or not isinstance(method, MethodType):
        return method
    original = method.__func__
    names = {**original.__globals__, "Rotation": _ValidRotation}
    function = FunctionType(original.__code__, names, original.__name__, original.__defaults__, original.__closure__)
    return MethodType(function, method.__self__)


class Scene:
    """A Meta-World environment with hidden goal.

    Args:
        name: one of `SCENES`.
        reward_version: Meta-World's `reward_function_version`.
    """

    def __init__(self, name: str, reward_version: str) -> None:
        self.kind = name, reward_version
        with compiled_scenes():
            self._environment: Any = ALL_V3_ENVIRONMENTS[name](reward_function_version=reward_version)
        data, space = self._environment.data, self._environment.sawyer_observation_space
        self._low, self._high = space.low, space.high
        self._hand = data.body("hand").xpos  # views of what MuJoCo computes
        self._claws = data.body("rightclaw").xpos, data.body("leftclaw").xpos
        self._turns = _unchecked(self._environment._get_quat_objects)
        self._fingers = data.site("rightEndEffector").xpos, data.site("leftEndEffector").xpos

    @property
    def model(self) -> mujoco.MjModel:
        """The MuJoCo model, as the task has shaped it."""
        return self._environment.model

    @property
    def positions(self) -> Numbers:
        """Generalized positions, `[nq]`."""
        positions: Numbers = self._environment.data.qpos
        return positions

    def start(self, variation: Numbers) -> Numbers:
        """Begin an episode on the task of a random vector; the observation, `[OBSERVATION]`.

        The same vector always gives the same start: Meta-World's reset places everything twice, the second time
        from a cleared simulation of the scene that the first has arranged.
        """
        environment = self._environment
        task = {"rand_vec": variation.copy(), "env_cls": type(environment), "partially_observable": True}
        environment.set_task(Task(self.kind[0], pickle.dumps(task)))
        observation: Numbers = environment.reset()[0]
        return observation

    def step(self, action: NDArray[np.float32]) -> Numbers:
        """One step of an action `[4]` within [-1, 1]; observation and readings, `[OBSERVATION + READINGS]`.

        What Meta-World's `step` does, bit for bit, without a third of its Python: physics, then the frame, then
        Meta-World's own `evaluate_state`.
        """
        environment = self._environment
        model, data = environment.model, environment.data
        before = data.time
        moved = data.mocap_pos[0] + action[:3] * environment.action_scale
        data.mocap_pos[0] = np.minimum(np.maximum(moved, environment.mocap_low), environment.mocap_high)
        data.mocap_quat[0] = HAND_TURN
        data.ctrl[0], data.ctrl[1] = action[3], -action[3]
        mujoco.mj_step(model, data, nstep=environment.frame_skip)
        mujoco.mj_forward(model, data)
        environment.curr_path_length += 1
        row = np.zeros(OBSERVATION + len(READINGS))
        row[:FRAME] = frame = self._frame()
        row[FRAME : 2 * FRAME] = environment._prev_obs
        environment._prev_obs = frame
        observation = np.minimum(np.maximum(row[:OBSERVATION], self._low), self._high)
        row[:OBSERVATION] = observation
        reward, info = environment.evaluate_state(observation, action)
        right, left = self._fingers
        row[OBSERVATION : OBSERVATION + 3] = (right + left) / 2.0
        # MuJoCo resets a simulation that broke down, and its clock with it.
        row[OBSERVATION + 3 :] = reward, info["success"], data.time < before
        return row

    def _frame(self) -> Numbers:
        """Hand, opening of the gripper, and poses of the objects, `[FRAME]`."""
        frame = np.zeros(FRAME)
        frame[:3] = self._hand
        apart = self._claws[0] - self._claws[1]
        frame[3] = min(np.sqrt(apart.dot(apart)) / LARGEST_OPENING, 1.0)
        places, turns = self._environment._get_pos_objects(), self._turns()
        for number in range(len(places) // 3):
            start = 4 + 7 * number
            frame[start : start + 3] = places[3 * number : 3 * number + 3]
            frame[start + 3 : start + 7] = turns[4 * number : 4 * number + 4]
        return frame

    def save(self) -> Numbers:
        """Everything that the next steps depend on, beside the task."""
        environment = self._environment
        state = np.empty(mujoco.mj_stateSize(environment.model, STATE_PARTS))
        mujoco.mj_getState(environment.model, environment.data, state, STATE_PARTS)
        memory = [getattr(environment, name, None) for name in MEMORY]
        remembered = [np.nan if value is None else float(value) for value in memory]
        return np.concatenate((state, environment._prev_obs, remembered))

    def restore(self, variation: Numbers, saved: Numbers) -> None:
        """Go back to what `save` gave on the task of `variation`; `saved` may be padded at its end."""
        self.start(variation)
        environment = self._environment
        size = mujoco.mj_stateSize(environment.model, STATE_PARTS)
        state, frame, memory = np.split(saved[: size + FRAME + len(MEMORY)], [size, size + FRAME])
        mujoco.mj_setState(environment.model, environment.data, state, STATE_PARTS)
        mujoco.mj_forward(environment.model, environment.data)
        # The solver has left a new warm start behind; the next step must begin with the old one.
        mujoco.mj_setState(environment.model, environment.data, state, STATE_PARTS)
        environment._prev_obs = frame.copy()
        for name, value in zip(MEMORY, memory):
            if hasattr(environment, name):
                kind = bool if name.endswith("Completed") else int if name == "curr_path_length" else float
                setattr(environment, name, None if np.isnan(value) else kind(value))
