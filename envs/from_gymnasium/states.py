"""The exact state of an environment that was not written for it, as bytes that hold numbers and never code.

An environment may have methods of its own, `state_dict()` and `load_state_dict(state)`, with values as below. Otherwise
the state is what the attributes of the environment and of its wrappers hold, if all of them are numbers, texts, arrays
or random generators, or lists and dictionaries of them, and no two arrays share memory; and MuJoCo's state, where there
is a MuJoCo simulation.
"""

from __future__ import annotations

import json
from types import FunctionType, MethodType, ModuleType
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from envs.from_gymnasium.factory import Env

CONSTANT = (gymnasium.Space, EnvSpec, type, FunctionType, MethodType, ModuleType)
ARGUMENTS = {"_saved_kwargs", "_ezpickle_args", "_ezpickle_kwargs"}
"""Where Gymnasium remembers how an environment was made."""
CONSTANT_OF_MUJOCO = {"MjModel", "MujocoRenderer"}
"""By name, because importing MuJoCo takes a second, and most environments need none."""
READ_BEFORE_A_STEP = ("xpos", "xipos")
"""Positions of bodies that Gymnasium's steps begin by reading: MuJoCo has them from one substep before the state."""


class Unsaved(Exception):
    """An attribute's value cannot be saved."""


def save_state(env: Env) -> bytes | None:
    """The environment's state; None if it holds something that cannot be saved."""
    try:
        return json.dumps([_encoded(state) for state in _states(env)]).encode()
    except Unsaved:
        return None


def _states(env: Env) -> list[dict[str, Any]]:
    """The state of every layer, from the outermost wrapper to the environment itself.

    Raises:
        Unsaved: if two attributes show the same array, which would be restored as two.
    """
    every, states, owners = layers(env), [], []
    for layer in every:
        if hasattr(layer, "state_dict"):
            states.append(dict(layer.state_dict()))
            continue
        attributes = {name: value for name, value in vars(layer).items() if not _is_constant(name, value, every)}
        arrays = [value for value in attributes.values() if isinstance(value, np.ndarray) and not _is_foreign(value)]
        owners += [id(_owner(array)) for array in arrays]
        states.append(attributes)
    if len(set(owners)) < len(owners):
        raise Unsaved
    return states


def _is_constant(name: str, value: Any, every: list[Env]) -> bool:
    """Whether an attribute of one of the layers `every` never changes; what they wrap is a layer itself."""
    is_layer = any(value is layer for layer in every)
    return name in ARGUMENTS or is_layer or isinstance(value, CONSTANT) or type(value).__name__ in CONSTANT_OF_MUJOCO


def layers(env: Env) -> list[Env]:
    """The environment and its wrappers, from the outermost on."""
    found = [env]
    while isinstance(env, gymnasium.Wrapper):
        env = env.env
        found.append(env)
    return found


def _owner(array: Any) -> Any:
    """Whose memory an array shows: its own, another array's, or that of something else, such as MuJoCo."""
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return array


def _is_foreign(value: Any) -> bool:
    """Whether it is an array that shows memory which is not NumPy's."""
    return isinstance(value, np.ndarray) and not isinstance(_owner(value), np.ndarray)


def load_state(env: Env, state: bytes) -> None:
    """Put an environment that has been reset into a state that `save_state` gave."""
    for layer, encoded in zip(layers(env), json.loads(state)):
        values = _decoded(encoded)
        if hasattr(layer, "load_state_dict"):
            layer.load_state_dict(values)
            continue
        for name, value in values.items():
            present: Any = getattr(layer, name, None)
            if type(present).__name__ == "MjData":
                _load_mujoco(layer, present, value)
            elif _is_foreign(present) and present.shape == np.shape(value):
                present[...] = value  # goes on to show MuJoCo's memory
            else:
                setattr(layer, name, value)


def _mujoco_state(data: Any) -> NDArray[np.float64]:
    import mujoco

    part = mujoco.mjtState.mjSTATE_INTEGRATION
    state = np.empty(mujoco.mj_stateSize(data.model, part))
    mujoco.mj_getState(data.model, data, state, part)
    return np.concatenate((state, *(getattr(data, name).ravel() for name in READ_BEFORE_A_STEP)))


def _load_mujoco(layer: Any, data: Any, state: NDArray[np.float64]) -> None:
    import mujoco

    part = mujoco.mjtState.mjSTATE_INTEGRATION
    size = mujoco.mj_stateSize(layer.model, part)
    state, *positions = np.split(state, [size, size + data.xpos.size])
    mujoco.mj_setState(layer.model, data, state, part)
    mujoco.mj_forward(layer.model, data)  # what follows from the state
    mujoco.mj_setState(layer.model, data, state, part)  # the solver's warm start too, which that has changed
    for name, values in zip(READ_BEFORE_A_STEP, positions):
        getattr(data, name).flat = values


def _encoded(value: Any) -> Any:
    """`value` as JSON has it; what JSON does not know becomes a list that begins with its kind.

    Raises:
        Unsaved: if it is anything else.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is np.ndarray or isinstance(value, np.generic):
        if value.dtype.kind not in "biuf":
            raise Unsaved
        return ["array", value.dtype.str, list(value.shape), value.tobytes().hex(), isinstance(value, np.generic)]
    if type(value) in (list, tuple, set, frozenset):  # not in a subclass of them, which could not be made again
        return [type(value).__name__, [_encoded(part) for part in value]]
    if type(value) is dict:
        return ["dict", [[_encoded(key), _encoded(part)] for key, part in value.items()]]
    if isinstance(value, np.random.Generator):
        return ["generator", _encoded(value.bit_generator.state)]
    if type(value).__name__ == "MjData":
        return _encoded(_mujoco_state(value))
    raise Unsaved


def _decoded(value: Any) -> Any:
    """What `_encoded` was given."""
    if not isinstance(value, list):
        return value
    kind, *rest = value
    if kind == "array":
        dtype, shape, data, is_scalar = rest
        array = np.frombuffer(bytes.fromhex(data), dtype).reshape(shape).copy()
        return array[()] if is_scalar else array
    if kind == "dict":
        return {_decoded(key): _decoded(part) for key, part in rest[0]}
    if kind == "generator":
        state = _decoded(rest[0])
        bit_generator = getattr(np.random, state["bit_generator"])()
        bit_generator.state = state
        return np.random.Generator(bit_generator)
    kinds: dict[str, type[Any]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
    return kinds[kind](_decoded(part) for part in rest[0])
