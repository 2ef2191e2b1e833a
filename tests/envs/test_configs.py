"""There is a configuration for every world, and it builds that world."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import yaml

from envs import WORLDS, MetaEnv

CONFIGS = Path(__file__).parents[2] / "configs" / "env"


@pytest.mark.parametrize("world_class", WORLDS, ids=lambda world: world.__name__)
def test_the_configuration_builds_the_world(world_class: type[MetaEnv]) -> None:
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", world_class.__name__).lower()
    settings = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))["data"]["env"]
    module, _, attribute = settings["class_path"].rpartition(".")
    world = getattr(importlib.import_module(module), attribute)(2, **settings.get("init_args", {}))
    assert type(world) is world_class
