"""One run of a batch: what it is, how it is started, and what became of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lit_metarl.batch.claims import LOST

FINISHED, STOPPED, FAILED, CLAIMED = "finished", "stopped", "FAILED", "claimed"
STOPPING = {status for number in (signal.SIGINT, signal.SIGTERM) for status in (128 + number, -number)}
"""Exit statuses of a run that a signal stopped, whether it shut down in order or was killed."""

SETTINGS = "batch_settings.json"


class Process(Protocol):
    """What makes a run: a process, or a job."""

    def wait(self) -> int:
        """Wait for its end; its exit status."""

    def terminate(self) -> None:
        """Have the run save and end; a second time, have it end at once."""


def is_finished(folder: Path) -> bool:
    """Whether the run in `folder` was completed, in any batch."""
    return any(folder.glob("version_*/results.json"))


@dataclass(frozen=True)
class Run:
    """One run of a batch.

    Attributes:
        folder: its output folder.
        arguments: of `train.py`.
        settings: what identifies the run: the contents of its configuration files (without names and comments) and the
            arguments of its experiment.
    """

    folder: Path
    arguments: list[str]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether it was completed, in this batch or another one."""
        return is_finished(self.folder)

    @property
    def interrupted(self) -> bool:
        """Whether it has a checkpoint and is not finished."""
        return not self.finished and any(self.folder.glob("version_*/checkpoints/*.ckpt"))

    @property
    def test_return(self) -> float | None:
        """The return on the test tasks after training; None if it is not known."""
        newest = max(self.folder.glob("version_*/results.json"), key=lambda path: path.stat().st_mtime_ns, default=None)
        try:
            return None if newest is None else json.loads(newest.read_text(encoding="utf-8"))["after"]["test/return"]
        except (ValueError, KeyError):  # damaged
            return None

    @property
    def settings_text(self) -> str:
        """The settings as JSON, as its folder records them."""
        return json.dumps(self.settings, indent=1, sort_keys=True, default=str)

    def start(self) -> subprocess.Popen[bytes]:
        """Start or resume it in a process and session of its own, which appends to `run.log`.

        The session spares it the Ctrl-C of the terminal, which the batch passes on. The process reads the settings and
        records them if it is the one that makes the run.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "run.log").open("a", encoding="utf-8") as log:
            command = [sys.executable, "-m", "lit_metarl.batch.one_run", str(self.folder), *self.arguments]
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_surroundings(),
                start_new_session=True,
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(self.settings_text.encode())
        return process


def outcome_of(status: int) -> str:
    """`FINISHED`, `STOPPED` by a signal, `CLAIMED` by another process, or `FAILED`, by an exit status."""
    if status in STOPPING:
        return STOPPED
    return {0: FINISHED, LOST: CLAIMED}.get(status, FAILED)


def _surroundings() -> dict[str, str]:
    """The environment variables of a run."""
    # With SLURM_NTASKS, Lightning would take the job's single task for all processes of the run.
    own = {name: value for name, value in os.environ.items() if name != "SLURM_NTASKS"}
    return {**own, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
