"""Files that are either complete or absent, and checksums to verify them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lit_metarl.checkpoints.errors import CheckpointNotWritten

UNFINISHED = ".unfinished"
CHECKSUM_DIGITS = 12  # of a checksum in a file's name


def checksum(content: bytes) -> str:
    """SHA-256, the strongest of the fast ones where processors compute it in hardware."""
    return hashlib.sha256(content).hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a crash at any moment leaves either all of it or what was there before.

    Raises:
        CheckpointNotWritten: if the disk is full, or refuses otherwise.
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise CheckpointNotWritten(path, error) from error


def flush_folder(folder: Path) -> None:
    """Make the names of the files in `folder` survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
