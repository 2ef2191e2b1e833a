"""A new run that starts from the weights of another one (fine-tuning)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from envs.errors import require
from envs.meta_env_spec import MetaEnvSpec
from lit_metarl.checkpoints.reading import read_checkpoint

KEY = "initial_weights"
SIZES = ("observation_dim", "action_dim", "task_dim")
SHOWN = 4


def sizes_of(meta_spec: MetaEnvSpec) -> dict[str, int]:
    """The sizes that an algorithm's networks follow from."""
    return {name: getattr(meta_spec, name) for name in SIZES}


def different_weights(saved: Mapping[str, tuple[int, ...]], own: Mapping[str, tuple[int, ...]]) -> str:
    """The weights, by name and shape, in which a checkpoint and an algorithm differ, in words; empty if in none."""
    different = [name for name in sorted({*saved, *own}) if saved.get(name) != own.get(name)]

    def shape(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
        return str(list(shapes[name])) if name in shapes else "missing"

    shown = [f"{name} is {shape(saved, name)} there, {shape(own, name)} here" for name in different[:SHOWN]]
    more = [f"and {len(different) - SHOWN} more"] if len(different) > SHOWN else []
    return "; ".join([*shown, *more])


def shapes_of(state: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes of weights, by name."""
    return {name: tuple(weight.shape) for name, weight in state.items()}


def load_initial_weights(agent: nn.Module, meta_spec: MetaEnvSpec, path: Path | str) -> None:
    """Give `agent` the weights of a checkpoint, running statistics included, and nothing else of it.

    Args:
        agent: a new algorithm.
        meta_spec: of its environment.
        path: of the `.ckpt`.

    Raises:
        ConfigurationError: if it is no checkpoint, or of another algorithm or of other sizes, which are named.
    """
    content = read_checkpoint(Path(path), KEY)
    saved = content.get("algorithm") or {}
    name = type(agent).__name__
    hint = "Fine-tune with the algorithm that the checkpoint was trained with."
    require(saved.get("class", name) == name, KEY, str(path), f"it is of {saved.get('class')}, not {name}", hint)
    there, here = saved.get("sizes") or {}, sizes_of(meta_spec)
    sizes = ", ".join(
        f"{size} is {there[size]} there, {here[size]} here" for size in there if there[size] != here[size]
    )
    hint = "Fine-tune in an environment with the same observations, actions and number of task coordinates."
    require(not sizes, KEY, str(path), f"its environment has other sizes: {sizes}", hint)
    weights = different_weights(shapes_of(content["state_dict"]), shapes_of(agent.state_dict()))
    hint = "Give the sizes of networks that it was trained with (config.yaml in its run's folder)."
    require(not weights, KEY, str(path), f"its networks have other sizes: {weights}", hint)
    agent.load_state_dict(content["state_dict"])
