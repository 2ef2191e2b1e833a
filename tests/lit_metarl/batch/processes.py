"""Batches in processes of their own, and what they start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def batch(path: str, said: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A batch of the file at `path`, which appends what it says to the file `said`."""
    command = [sys.executable, "-m", "lit_metarl.batch", f"--config={path}", *arguments]
    with said.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file)


def processes_of(folder: Path) -> list[int]:
    """The processes that have this folder among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder) in path.read_text():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def wait_until(condition: Callable[[], object], seconds: float = 100.0) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: if it does not come about.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
