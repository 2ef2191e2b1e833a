"""The modes of callbacks that watch a metric, in a configuration."""

from __future__ import annotations

from typing import Any

from jsonargparse import Namespace

from lit_metarl.command_line.layers import Layers
from lit_metarl.evaluation import against_nature, better_mode, wrong_mode


def set_modes(config: Any, layers: Layers) -> None:
    """Give callbacks the mode of the metric that they monitor, where none was given.

    Args:
        config: of a subcommand; its `checkpoint` and `trainer.callbacks` are changed.
        layers: what was given.

    Raises:
        ConfigurationError: if a given mode contradicts the direction in which the metric improves.
    """
    _set_mode(config.get("checkpoint"), "checkpoint.mode", layers, layers.gives("checkpoint.mode"))
    callbacks = config.get("trainer.callbacks")
    for callback in callbacks if isinstance(callbacks, list) else [callbacks]:
        if isinstance(callback, Namespace) and "class_path" in callback:
            arguments = callback.get("init_args")
            monitor = arguments.get("monitor") if isinstance(arguments, Namespace) else None
            given = layers.gives_to_callback(callback["class_path"].rpartition(".")[2], monitor, "mode")
            _set_mode(arguments, "trainer.callbacks.init_args.mode", layers, given)


def _set_mode(arguments: Any, key: str, layers: Layers, given: bool) -> None:
    """Set the mode among the arguments of one callback."""
    monitor: Any
    mode: Any
    monitor, mode = (arguments.get(name) if isinstance(arguments, Namespace) else None for name in ("monitor", "mode"))
    if against_nature(monitor, mode):
        if given:
            raise wrong_mode(layers.place(key, mode), monitor, mode)
        arguments["mode"] = better_mode(monitor)
