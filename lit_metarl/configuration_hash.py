"""A name for a configuration, equal for runs that differ only in their seed, output folders and logging."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

OF_THE_RUN_ONLY = ("name", "seed_everything", "threads", "ckpt_path", "verbose", "figures", "tasks", "video")
OF_THE_TRAINER_ONLY = ("logger", "default_root_dir", "enable_progress_bar", "callbacks")
OF_THE_DATA_ONLY = ("replay_storage", "replay_folder")
OF_THE_MACHINE_ONLY = ("threads", "processes")
"""Arguments of environments that do not change their results."""
DIGITS = 12


def configuration_hash(config: Mapping[str, Any]) -> str:
    """The first hexadecimal digits of a hash over everything that seeds of one method must share.

    Args:
        config: the content of `config.yaml`, as primitives.
    """
    settings = {name: value for name, value in config.items() if name not in OF_THE_RUN_ONLY}
    if settings.pop("initial_weights", None) is not None:  # seeds may start from weights of their own
        settings["fine_tuned"] = True
    trainer = {name: value for name, value in settings["trainer"].items() if name not in OF_THE_TRAINER_ONLY}
    settings["trainer"] = {**trainer, "max_time": None} if "max_time" in trainer else trainer  # as runs without a limit
    settings["data"] = {name: value for name, value in settings["data"].items() if name not in OF_THE_DATA_ONLY}
    settings["data"]["env"] = without_machine(settings["data"].get("env"))
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:DIGITS]


def without_machine(env: Any) -> Any:
    """The configuration of an environment with what belongs to the machine at its default, null."""
    if not isinstance(env, Mapping) or not isinstance(env.get("init_args"), Mapping):
        return env
    arguments = env["init_args"]
    return {**env, "init_args": {**arguments, **{name: None for name in OF_THE_MACHINE_ONLY if name in arguments}}}
