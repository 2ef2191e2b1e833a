"""The checker's command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import gymnasium
import yaml
from jsonargparse import ArgumentError, ArgumentParser

from envs.base import MetaEnv
from envs.check.checks import MakeEnv, check
from envs.errors import ConfigurationError

DESCRIPTION = """Looks for what is wrong with an environment, and says so in one sentence for each finding.
Status 0: nothing must be corrected; 1: something must; 2: the command is wrong."""


def main(args: list[str] | None = None) -> int:
    """Check the environment that the command names; the exit status."""
    parser = ArgumentParser(prog="python -m envs.check", description=DESCRIPTION, exit_on_error=False)
    parser.add_argument("words", nargs="*", type=str, help="The class (my_envs.Mine), and its arguments (key=value).")
    parser.add_argument("--config", type=str, help="A YAML file whose data.env is checked, in place of a class.")
    try:
        given = parser.parse_args(args)
        classes = [word for word in given.words if "=" not in word]
        make_env = _environment(classes, [word for word in given.words if "=" in word], given.config)
    except (ArgumentError, ConfigurationError, TypeError) as error:
        print(f"error: {str(error).partition(' Got value')[0]}", file=sys.stderr)
        return 2
    findings = check(make_env)
    for finding in findings:
        print(finding.text if finding.is_wrong else f"Good to know: {finding.text}")
    wrong = sum(finding.is_wrong for finding in findings)
    tried = "episodes of random actions, and of the smallest and the largest action held"
    print(f"{given.config or classes[0]}: " + (f"{wrong} to correct." if wrong else f"nothing to correct in {tried}."))
    return int(wrong > 0)


def _environment(classes: list[str], arguments: list[str], config: str | None) -> MakeEnv:
    """What makes the environment.

    Raises:
        ConfigurationError: if there is not one class or file, or it is no environment.
    """
    if len(classes) != (config is None):
        hint = "Give the class of an environment, or --config FILE."
        raise ConfigurationError("env", classes, "there must be either one class or a file", hint)
    settings: Any = _settings(Path(config)) if config is not None else {"class_path": classes[0]}
    _refuse_other_classes(settings["class_path"])
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--env", type=Callable[[int, int], MetaEnv])
    parsed = parser.parse_args(
        [f"--env={json.dumps(settings)}", *(f"--env.init_args.{argument}" for argument in arguments)]
    )
    make_env: MakeEnv = parser.instantiate(parsed).env
    return make_env


def _settings(path: Path) -> dict[str, Any]:
    """`data.env` of a configuration file."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))["data"]["env"]
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError("--config", str(path), str(error), "Give a YAML file.") from None
    except (KeyError, TypeError):
        settings = None
    if not isinstance(settings, dict) or "class_path" not in settings:
        raise ConfigurationError("--config", str(path), "it has no data.env with a class_path", "Add it.")
    return settings


def _refuse_other_classes(class_path: str) -> None:
    try:
        found = resolve_name(class_path)
    except (ImportError, AttributeError, ValueError) as error:
        hint = "Give an import path such as my_envs.Mine, of a file in this folder."
        raise ConfigurationError("env", class_path, f"it cannot be imported ({error})", hint) from None
    if isinstance(found, type) and issubclass(found, MetaEnv):
        return
    hint = "Give a subclass of envs.MetaEnv."
    if isinstance(found, type) and issubclass(found, gymnasium.Env):
        hint = f"Check it with its tasks: `python -m envs.check envs.FromGymnasium env={class_path} task_…=…`."
    raise ConfigurationError("env", class_path, "it is not a MetaEnv", hint)


if __name__ == "__main__":
    sys.exit(main())
