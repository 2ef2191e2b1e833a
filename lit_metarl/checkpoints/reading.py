"""Reading a checkpoint without trusting it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from envs.errors import ConfigurationError


def read_checkpoint(path: Path, key: str = "ckpt_path") -> dict[str, Any]:
    """The content of a checkpoint.

    Args:
        path: of the `.ckpt`.
        key: the setting that names it.

    Raises:
        ConfigurationError: if it is none, or cannot be loaded without running code.
    """
    hint = "Give the path of a .ckpt file that a run wrote (see its 'checkpoints' folder)."
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except IsADirectoryError:
        raise ConfigurationError(key, str(path), "it is a folder", hint) from None
    except FileNotFoundError:
        raise ConfigurationError(key, str(path), "there is no such file", hint) from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError) as error:
        has_text = str(error) and not isinstance(error, LookupError)  # those tell a number of pickle's
        reason = str(error).splitlines()[0] if has_text else type(error).__name__
        raise ConfigurationError(key, str(path), f"it cannot be read as a checkpoint ({reason})", hint) from error
    if not isinstance(content, dict) or "state_dict" not in content:
        raise ConfigurationError(key, str(path), "it holds no model", hint)
    return content
