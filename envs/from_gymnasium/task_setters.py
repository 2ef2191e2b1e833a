"""The ways to give an environment of the user's its task."""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from envs.errors import ConfigurationError, require
from envs.from_gymnasium.factory import Env

Task = Sequence[float]


class TaskSetter(ABC):
    """One way to set a task."""

    @abstractmethod
    def names(self, env: Env) -> list[str]:
        """Names of a task's coordinates, as the environment knows them.

        Raises:
            ConfigurationError: if the environment lacks what this needs.
        """

    def arguments(self, task: Task) -> dict[str, float]:
        """Arguments of the environment's constructor; an environment is made anew for every other task."""
        return {}

    def prepare(self, env: Env, task: Task) -> None:  # noqa: B027 - some tasks need nothing here
        """Set the task before the reset."""

    def reset_options(self, task: Task) -> dict[str, float] | None:
        """What `reset` is told."""
        return None


class TaskMethod(TaskSetter):
    """A method of the environment or of one of its wrappers, called with the task's numbers before every reset."""

    def __init__(self, method: str) -> None:
        self._method = method

    def names(self, env: Env) -> list[str]:
        found = env.has_wrapper_attr(self._method) and callable(env.get_wrapper_attr(self._method))
        _require_part(found, "task_method", self._method, env, "method")
        parameters = inspect.signature(env.get_wrapper_attr(self._method)).parameters.values()
        return [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]

    def prepare(self, env: Env, task: Task) -> None:
        env.get_wrapper_attr(self._method)(*task)


class TaskAttributes(TaskSetter):
    """Attributes that are set before every reset, one for each coordinate.

    A path has dots, and indices in brackets: `unwrapped.g`, `unwrapped.model.body_mass[1]`.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = [re.sub(r"\[(\d+)\]", r".\1", path).split(".") for path in paths]

    def names(self, env: Env) -> list[str]:
        for path in self._paths:
            try:
                _read(_owner(env, path), path[-1])
            except (AttributeError, IndexError, TypeError):
                _require_part(False, "task_attributes", ".".join(path), env, "attribute")
        return [path[-2] + path[-1] if path[-1].isdigit() else path[-1] for path in self._paths]

    def prepare(self, env: Env, task: Task) -> None:
        for path, number in zip(self._paths, task):
            owner, name = _owner(env, path), path[-1]
            before = _read(owner, name)
            whole = isinstance(before, int | np.integer) and float(number).is_integer()
            value = int(number) if whole else number
            if name.isdigit():
                owner[int(name)] = value
            else:
                setattr(owner, name, value)


def _owner(env: Env, path: list[str]) -> Any:
    """The object whose attribute the last part of `path` is."""
    if len(path) == 1:  # of the outermost wrapper that has it
        layer: Any = env
        while not hasattr(layer, path[0]) and layer is not env.unwrapped:
            layer = layer.env
        return layer
    owner = env.get_wrapper_attr(path[0])
    for name in path[1:-1]:
        owner = _read(owner, name)
    return owner


def _read(owner: Any, name: str) -> Any:
    return owner[int(name)] if name.isdigit() else getattr(owner, name)


class TaskOptions(TaskSetter):
    """Options of `reset`, one for each coordinate."""

    def __init__(self, options: Sequence[str]) -> None:
        self._options = list(options)

    def names(self, env: Env) -> list[str]:
        return self._options

    def reset_options(self, task: Task) -> dict[str, float]:
        return dict(zip(self._options, task))


class TaskArguments(TaskSetter):
    """Arguments of the environment's constructor, one for each coordinate."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = list(arguments)

    def names(self, env: Env) -> list[str]:
        return self._arguments

    def arguments(self, task: Task) -> dict[str, float]:
        return dict(zip(self._arguments, task))


def _require_part(found: bool, key: str, value: str, env: Env, kind: str) -> None:
    name = type(env.unwrapped).__name__
    hint = f"Name one of {name} or of its wrappers" + (", with its path: unwrapped.g" if kind == "attribute" else "")
    require(found, key, value, f"{name} has no {kind} of that name", f"{hint}.")


def task_setter(
    method: str | None, attributes: list[str] | None, options: list[str] | None, arguments: list[str] | None
) -> TaskSetter:
    """The one way that was given.

    Raises:
        ConfigurationError: if none was, or several.
    """
    ways: list[tuple[str, Any, type[Any]]] = [
        ("task_method", method, TaskMethod),
        ("task_attributes", attributes, TaskAttributes),
        ("task_options", options, TaskOptions),
        ("task_arguments", arguments, TaskArguments),
    ]
    given = [(key, value, way) for key, value, way in ways if value]
    if len(given) != 1:
        raise ConfigurationError(
            "task_method",
            [key for key, *_ in given] or None,
            "there must be exactly one way to set a task",
            "Give task_method, task_attributes, task_options or task_arguments.",
        )
    ((_, value, way),) = given
    setter: TaskSetter = way(value)
    return setter
