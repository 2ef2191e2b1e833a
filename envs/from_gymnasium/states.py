"""The exact state of an environment that was not written for it, as bytes that hold numbers and never code.

An environment may have methods of its own, `state_dict()` and `load_state_dict(state)`, with values as below. Otherwise
the state is what the attributes of the environment and of its wrappers hold, if all of them are numbers, texts, arrays
or random generators, or lists and dictionaries of them; and MuJoCo's state, where there is a MuJoCo simulation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from envs.from_gymnasium.factory import Env

CONSTANT = (gymnasium.Env, gymnasium.Space, EnvSpec, type, FunctionType, MethodType, ModuleType)
ARGUMENTS = {"_saved_kwargs", "_ezpickle_args", "_ezpickle_kwargs"}
"""Where Gymnasium remembers how an environment was made."""
CONSTANT_OF_MUJOCO = {"MjModel", "MujocoRenderer"}
"""By name, because importing MuJoCo takes a second, and most environments need none."""


class Unsaved(Exception):
    """An attribute's value cannot be saved."""


def save_state(env: Env) -> bytes | None:
    """The environment's state; None if it holds something that cannot be saved."""
    try:
        return json.dumps([_encoded(state) for state in _states(env)]).encode()
    except Unsaved:
        return None


def _states(env: Env) -> Iterator[dict[str, Any]]:
    """The state of every layer, from the outermost wrapper to the environment itself."""
    for layer in _layers(env):
        if hasattr(layer, "state_dict"):
            yield layer.state_dict()
        else:
            yield {name: value for name, value in vars(layer).items() if not _is_constant(name, value)}


def _is_constant(name: str, value: Any) -> bool:
    return name in ARGUMENTS or isinstance(value, CONSTANT) or type(value).__name__ in CONSTANT_OF_MUJOCO


def _layers(env: Env) -> Iterator[Env]:
    yield env
    while isinstance(env, gymnasium.Wrapper):
        env = env.env
        yield env


def load_state(env: Env, state: bytes) -> None:
    """Put an environment that has been reset into a state that `save_state` gave."""
    for layer, encoded in zip(_layers(env), json.loads(state)):
        values = _decoded(encoded)
        if hasattr(layer, "load_state_dict"):
            layer.load_state_dict(values)
            continue
        for name, value in values.items():
            present = getattr(layer, name, None)
            if type(present).__name__ == "MjData":
                _load_mujoco(layer, present, value)
            elif isinstance(present, np.ndarray) and not present.flags.owndata and present.shape == value.shape:
                present[...] = value  # a view of something else goes on to be one
            else:
                setattr(layer, name, value)


def _mujoco_state(data: Any) -> NDArray[np.float64]:
    import mujoco

    part = mujoco.mjtState.mjSTATE_INTEGRATION
    state = np.empty(mujoco.mj_stateSize(data.model, part))
    mujoco.mj_getState(data.model, data, state, part)
    return state


def _load_mujoco(layer: Any, data: Any, state: NDArray[np.float64]) -> None:
    import mujoco

    part = mujoco.mjtState.mjSTATE_INTEGRATION
    mujoco.mj_setState(layer.model, data, state, part)
    mujoco.mj_forward(layer.model, data)  # what follows from the state, such as positions of bodies
    mujoco.mj_setState(layer.model, data, state, part)  # the solver's warm start too, which that has changed


def _encoded(value: Any) -> Any:
    """`value` as JSON has it; what JSON does not know becomes a list that begins with its kind.

    Raises:
        Unsaved: if it is anything else.
    """
    if value is None or (isinstance(value, bool | int | float | str) and not isinstance(value, np.generic)):
        return value
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in "biuf":
            raise Unsaved
        return ["array", value.dtype.str, list(value.shape), value.tobytes().hex(), isinstance(value, np.generic)]
    if isinstance(value, list | tuple | set | frozenset):
        return [type(value).__name__, [_encoded(part) for part in value]]
    if isinstance(value, dict):
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
