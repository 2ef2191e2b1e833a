"""There is a configuration for every environment, and it builds that environment."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import yaml

from envs import ENVIRONMENTS, MetaEnv

CONFIGS = Path(__file__).parents[2] / "configs" / "env"


@pytest.mark.parametrize("env_class", ENVIRONMENTS, ids=lambda env: env.__name__)
def test_the_configuration_builds_the_environment(env_class: type[MetaEnv]) -> None:
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", env_class.__name__).lower()
    settings = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))["data"]["env"]
    module, _, attribute = settings["class_path"].rpartition(".")
    env = getattr(importlib.import_module(module), attribute)(2, **settings.get("init_args", {}))
    assert type(env) is env_class
