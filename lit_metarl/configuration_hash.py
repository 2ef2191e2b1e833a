"""A name for a configuration: equal for runs that only differ in their seed and in where and how they are watched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

OF_THE_RUN_ONLY = ("seed_everything", "threads", "ckpt_path", "verbose", "figures", "csv", "tasks", "video")
OF_THE_TRAINER_ONLY = ("logger", "default_root_dir", "enable_progress_bar", "callbacks")
DIGITS = 12


def configuration_hash(config: Mapping[str, Any]) -> str:
    """The first hexadecimal digits of the hash of everything that seeds of one method must share.

    Args:
        config: what `config.yaml` holds, as primitives.
    """
    settings = {name: value for name, value in config.items() if name not in OF_THE_RUN_ONLY}
    trainer = settings["trainer"]
    settings["trainer"] = {name: value for name, value in trainer.items() if name not in OF_THE_TRAINER_ONLY}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:DIGITS]
