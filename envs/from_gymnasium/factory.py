"""Makes one environment of the user's, from a Gymnasium id, a class or a function."""

from __future__ import annotations

import copy
import difflib
import typing
from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

import gymnasium
from gymnasium.envs.registration import load_env_creator
from gymnasium.error import DependencyNotInstalled

from envs.errors import ConfigurationError, require

Env = gymnasium.Env[Any, Any]


class EnvFactory:
    """Makes environments, each an object of its own.

    Args:
        env: a Gymnasium id; the import path of a subclass of `gymnasium.Env` or of a function whose annotation says
            that it returns one; or, from Python, any callable.
        arguments: of the environment's constructor.

    Raises:
        ConfigurationError: if there is no such environment.

    Attributes:
        name: the id, or the name of the class or function.
        horizon: steps of Gymnasium's time limit; None without one.
    """

    def __init__(self, env: str | Callable[..., Env], arguments: dict[str, Any]) -> None:
        self._arguments = dict(arguments)
        self.horizon: int | None = None
        if not isinstance(env, str):
            self.name, self._make = getattr(env, "__name__", type(env).__name__), env
        elif (spec := _registered(env)) is not None:
            self.name, self._make = env, gymnasium.make
            self.horizon = spec.max_episode_steps
            self._arguments = {**_options(spec), **self._arguments}
        else:
            self.name, self._make = env.rpartition(".")[2], _imported(env)

    def __call__(self, **arguments: Any) -> Env:
        """A new environment; `arguments` add to those of the factory.

        Raises:
            ConfigurationError: if it cannot be made, or is none.
        """
        try:
            env = self._make(**{**self._arguments, **arguments})
        except Exception as error:  # whatever the user's class raises
            raise ConfigurationError(
                "env", self.name, f"making it raises {type(error).__name__}: {error}", "Correct env or env_args."
            ) from error
        require(
            isinstance(env, gymnasium.Env),
            "env",
            self.name,
            f"it gives a {type(env).__name__}, not a gymnasium.Env",
            "Name a Gymnasium id, or a class or function that gives a new gymnasium.Env at every call.",
        )
        if env.has_wrapper_attr("_max_episode_steps"):  # of a TimeLimit
            self.horizon = env.get_wrapper_attr("_max_episode_steps")
        return env


def _registered(env: str) -> Any:
    """Gymnasium's entry of that id; None if `env` can only be an import path.

    Raises:
        ConfigurationError: if it is neither.
    """
    try:
        return gymnasium.spec(env)
    except ModuleNotFoundError as error:
        raise ConfigurationError("env", env, str(error), "Install that package.") from None
    except gymnasium.error.Error as error:
        nearest = difflib.get_close_matches(env, list(gymnasium.registry), n=1)
        near = f"The nearest id is {nearest[0]!r}." if nearest else "Write an id as 'package:Name-v0'"
        if "." in env and "/" not in env and ":" not in env:
            return None
        reason = f"Gymnasium has none of that id ({str(error).rstrip('.')})"
        raise ConfigurationError(
            "env", env, reason, f"{near.rstrip('.')}, or the import path of a class as 'my_envs.Mine'."
        ) from None


def _options(spec: Any) -> dict[str, Any]:
    """What `gymnasium.make` is told: to render where there are pictures.

    It leaves out the wrappers whose work is done here: its checker, the enforced order of calls, and the time limit.

    Raises:
        ConfigurationError: if a package that the environment needs is missing.
    """
    bare = copy.deepcopy(spec)
    bare.max_episode_steps, bare.order_enforce, bare.disable_env_checker = None, False, True
    try:
        creator = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
    except (ImportError, DependencyNotInstalled) as error:
        raise ConfigurationError(
            "env", spec.id, f"it cannot be imported ({error})", "Install what is missing."
        ) from None
    renders = "rgb_array" in getattr(creator, "metadata", {}).get("render_modes", ())
    return {"id": bare, **({"render_mode": "rgb_array"} if renders else {})}


def _imported(path: str) -> Callable[..., Env]:
    """The class or function of that import path.

    A checkpoint names it too, and one from a stranger must not be able to call just any function.
    """
    make: Any = imported(path, "env")
    made = make if isinstance(make, type) else _returned_type(make)
    require(
        isinstance(made, type) and issubclass(made, gymnasium.Env),
        "env",
        path,
        "it is neither a subclass of gymnasium.Env nor a function that is annotated to return one",
        "Annotate the function: `def make(...) -> gymnasium.Env:`.",
    )
    return typing.cast("Callable[..., Env]", make)


def _returned_type(function: Any) -> Any:
    try:
        made = typing.get_type_hints(function).get("return")
    except (TypeError, NameError):  # without annotations, or with ones of unknown names
        return None
    return typing.get_origin(made) or made


def imported(path: str, argument: str) -> Any:
    """What the import path `path`, given as `argument`, names.

    Raises:
        ConfigurationError: if there is no such thing.
    """
    try:
        return resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            argument,
            path,
            f"it cannot be imported ({error})",
            "Give an import path such as my_envs.Mine, of a file in the folder that the command is run in.",
        ) from None
