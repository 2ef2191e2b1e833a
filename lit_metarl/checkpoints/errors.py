"""What can be wrong with a checkpoint."""

from __future__ import annotations

from pathlib import Path

from envs.errors import ConfigurationError


class UnusableCheckpoint(ConfigurationError):
    """A checkpoint that a run cannot be resumed from.

    Args:
        path: the checkpoint.
        reason: what is wrong, naming the file.
        hint: what to do about it.
    """

    def __init__(
        self,
        path: Path,
        reason: str,
        hint: str = "Give another checkpoint, or `last` for the newest whole one of the run.",
    ) -> None:
        self.path = path
        self.reason = reason
        super().__init__("ckpt_path", str(path), reason, hint)
