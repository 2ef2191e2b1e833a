"""What a run is called: the folder of its files, and its name in TensorBoard."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from envs.errors import require

FOLDERS = ("trainer.default_root_dir", "checkpoint.dirpath", "last_checkpoint.dirpath", "data.replay_folder")
"""Where folders that a run writes into stand in a configuration, beside those of its loggers."""

METHODS = {
    "CEMTaskSampler": "roml",
    "MPTSSampler": "mpts",
    "PDTSSampler": "pdts",
    "UniformTaskSampler": "",
    "NoRelabeler": "",
}
"""What a class is called in a name where its own name says less; "" for what needs no mention."""


LONGEST = 255
"""Bytes of a file's name, on most file systems."""


def run_name(configuration: dict[str, Any]) -> str:
    """`name` of a configuration, or algorithm, environment, relabeler, task sampler and seed.

    Args:
        configuration: of a subcommand, as primitives.

    Raises:
        ConfigurationError: if the name is not that of a single folder.
    """
    given = configuration["name"]
    if given is None:
        return default_name(configuration)
    hint = "Choose a name without '/'; --trainer.logger.init_args.save_dir sets the folder of all runs."
    require(Path(given).name == given != "..", "name", given, "it must be the name of one folder", hint)
    longest = f"a folder's name has at most {LONGEST} bytes, and this one {len(given.encode())}"
    require(len(given.encode()) <= LONGEST, "name", given, longest, "Choose a shorter one.")
    return str(given)


def default_name(configuration: dict[str, Any]) -> str:
    """The name of a run that was given none, such as `pearl_point_robot_hfr_roml_seed1`."""
    env = _words(environment_name(configuration["data"]["env"]))
    algorithm, *others = method_of(configuration)
    return "_".join([algorithm, env, *others, f"seed{configuration['seed_everything']}"])


def method_of(configuration: dict[str, Any]) -> list[str]:
    """The algorithm, then what relabels its data and samples its tasks, if they do more than the plain ones."""
    data = configuration["data"]
    others = [
        METHODS.get(name, _words(name.removesuffix(kind)))
        for part, kind in (("relabeler", "Relabeler"), ("task_sampler", "TaskSampler"))
        if (name := class_name(data.get(part)))
    ]
    return [class_name(configuration["model"]).lower(), *filter(None, others)]


def environment_name(part: Any) -> str:
    """The environment's class; for one adapted from Gymnasium, its id or class there: `Pendulum` of `Pendulum-v1`."""
    name = class_name(part)
    adapted = (part.get("init_args") or {}).get("env") if isinstance(part, dict) else None
    if name == "FromGymnasium" and isinstance(adapted, str):
        return re.split(r"[./:]", re.sub(r"-v\d+$", "", adapted))[-1]
    return name


def class_name(part: Any) -> str:
    """The class of a part of a configuration, without its module; "" if it has none."""
    path = part.get("class_path", "") if isinstance(part, dict) else part or ""
    return str(path).rpartition(".")[2]


@contextmanager
def named_loggers(loggers: Any, name: str) -> Iterator[None]:
    """Inside, the configurations of loggers that have no name have this one.

    It is not kept in the run's `config.yaml`, with which other runs may be started.

    Args:
        loggers: `trainer.logger` of a parsed configuration.
        name: of the run.
    """
    arguments = [
        logger.init_args
        for logger in (loggers if isinstance(loggers, list) else [loggers])
        if isinstance(logger, Namespace) and "name" in (logger.get("init_args") or {})
    ]
    nameless = [own for own in arguments if own["name"] is None]
    for own in nameless:
        own["name"] = name
    yield
    for own in nameless:
        own["name"] = None


def expanded(folder: str) -> str:
    """`folder` with `~` and `$NAME` replaced, which Lightning does in some of a run's paths only."""
    return os.path.expanduser(os.path.expandvars(folder))  # noqa: PTH111 - a Path would lose the // of an address


def expand_folders(config: Namespace) -> None:
    """Replace `~` and `$NAME` in the folders that a run writes into, some of which Lightning would leave as they are.

    Args:
        config: a subcommand's parsed configuration.

    Raises:
        ConfigurationError: if one is the address of a store elsewhere.
    """
    for key in FOLDERS:
        _expand(config, key, key)
    loggers = config.trainer.logger
    for logger in loggers if isinstance(loggers, list) else [loggers]:
        if isinstance(logger, Namespace):
            _expand(logger, "init_args.save_dir", "trainer.logger.init_args.save_dir")


def _expand(part: Namespace, key: str, of: str) -> None:
    """Replace `part[key]`, which a message calls `of`, if it is there."""
    given = part.get(key)
    if given is None:
        return
    part[key] = folder = expanded(str(given))
    hint = "Give a folder, and copy it to the store afterwards."
    require("://" not in folder, of, folder, "checkpoints and data are written into folders of this machine", hint)


def _words(name: str) -> str:
    """`HalfCheetahVel` as `half_cheetah_vel`, `HFR` as `hfr`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
