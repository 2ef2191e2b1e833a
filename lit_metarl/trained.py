"""A trained agent and its environment, for scripts and notebooks."""

from __future__ import annotations

from dataclasses import is_dataclass
from inspect import signature
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from envs import MetaEnv
from envs.errors import require
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.checkpoints import CONFIGURATION, read_checkpoint


def load_trained(checkpoint: Path | str, num_envs: int = 1, seed: int = 0) -> tuple[MetaRLModule, MetaEnv]:
    """The agent of a checkpoint, and the vectorized environment that it was trained in.

        agent, env = load_trained("runs/NAME/version_0/checkpoints/best.ckpt", num_envs=8)
        tasks = env.task_distribution.sample(8, generator)
        trials = Collector(env).collect(agent, tasks, episodes=3, generator=generator, deterministic=True)

    To act step by step, use a `datamodules.collection.RunningTrial`: the agent's actions lie in [-1, 1], which are
    not the units of every environment.

    Args:
        checkpoint: a `.ckpt` that a run wrote.
        num_envs: number of sub-environments.
        seed: of the environment's random generator.

    Raises:
        ConfigurationError: if it is not a checkpoint of a run, or contains code.
    """
    path = Path(checkpoint)
    content = read_checkpoint(path)
    hint = "Give the path of a .ckpt file that `train.py fit` wrote."
    configuration = content.get(CONFIGURATION) or {}
    require(bool(configuration), "checkpoint", str(path), "it does not say what was trained in which environment", hint)
    env: MetaEnv = _build(path, MetaEnv, configuration["data"]["env"], num_envs=num_envs, seed=seed)
    agent: MetaRLModule = _build(path, MetaRLModule, configuration["model"], meta_spec=env.meta_spec)
    agent.load_state_dict(content["state_dict"])
    return agent.eval(), env


def _build(path: Path, base: type, configuration: dict[str, Any], **more: Any) -> Any:
    """The object of a configuration's `class_path` and `init_args`; `more` takes precedence.

    Only a subclass of `base`, and the dataclasses of its arguments' default values, are called: a checkpoint must
    not be able to run anything else.
    """
    name = configuration["class_path"]
    try:
        part = resolve_name(name)
    except (ImportError, AttributeError, ValueError):
        part = None
    right = isinstance(part, type) and issubclass(part, base)
    hint = "Run where that class can be imported."
    require(right, "checkpoint", str(path), f"it names {name}, which is no {base.__name__} here", hint)
    given = {**(configuration.get("init_args") or {}), **more}
    for owner in part.__mro__:  # each passes on the arguments it does not know
        for argument in signature(owner.__init__).parameters.values():
            kind = type(argument.default)
            if is_dataclass(kind) and isinstance(given.get(argument.name), dict):
                given[argument.name] = kind(**given[argument.name])
    return part(**given)
