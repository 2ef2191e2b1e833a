"""Files that are either complete or absent."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

UNFINISHED = ".unfinished"


class NotWritten(RuntimeError):
    """A file could not be written; what was there before is unchanged.

    Args:
        path: the file.
        error: why.
    """

    def __init__(self, path: Path, error: OSError) -> None:
        self.reason = error.strerror or str(error)
        super().__init__(
            f"the file {path} could not be written ({self.reason}). What was there before is whole: make room, then "
            "go on; a run resumes with --ckpt_path last."
        )


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a crash at any moment leaves either all of it or what was there before.

    Raises:
        NotWritten: if the disk is full, or refuses otherwise.
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise NotWritten(path, error) from error


def _flush_folder(folder: Path) -> None:
    """Make the names of the files in `folder` survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
