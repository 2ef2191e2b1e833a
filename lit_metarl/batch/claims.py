"""Claims, by which processes that share a file system agree who makes a run.

The claims on a run are the files `1`, `2`, … in a folder, of which the last counts. A claim is made by creating the
next file, which only one process can do (`O_EXCL`, on NFS too). While its owner lives, it renews the file's time; when
it is done, it adds a line. A claim that was neither renewed for a while nor given up belonged to a process that was
killed, and the next process claims the run after it; at once if both are processes of one machine, where it can look.
No claim is ever removed, so that none can be made twice, and the clocks of different machines are not compared.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType

HEARTBEAT = 15.0
"""Seconds between renewals of a claim."""
PATIENCE = 120.0
"""Seconds without renewal after which a claim is void; more than NFS caches the time of a file."""
LOST = os.EX_TEMPFAIL
"""Exit status of a process whose run another process makes."""
FOLDER = "claims"
GIVEN_UP = "given up"


class Claim:
    """The claim of this process on a run; a context in which it is renewed, and after which it is given up.

    A process that was suspended for longer than `PATIENCE` may find its run claimed by another. It then ends at once,
    without saving anything.

    Args:
        path: its file, which this process has created.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._over = threading.Event()
        self._renewing = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> None:
        self._renewing.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._renewing.join()
        with suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(f"{GIVEN_UP} {datetime.now().isoformat(timespec='seconds')}\n")

    def _renew(self) -> None:
        while not self._over.wait(HEARTBEAT):
            with suppress(OSError):  # a file server may be away for a moment
                os.utime(self._path)
                if _after(self._path).exists():
                    os._exit(LOST)


def claim(run: Path) -> Claim | None:
    """Claim a run; None if a living process has claimed it.

    It takes up to `HEARTBEAT` seconds to see that a process lives, and `PATIENCE` to see that one of another machine
    does not.

    Args:
        run: its folder.
    """
    path = _last(run) or run / FOLDER / "1"
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(f"{_this_process()}\n{_machine()} {os.getpid()} {_started(os.getpid())}\n")
            return Claim(path)
        except FileExistsError:
            if _is_alive(path):
                return None
            path = _after(path)


def owner(run: Path) -> str:
    """Who claimed a run last: machine, process, job and time."""
    path = _last(run)
    return path.read_text(encoding="utf-8").partition("\n")[0] if path is not None else ""


def holder(run: Path) -> str:
    """The owner of the claim on a run; empty if nobody claims it. One of another machine may have been killed."""
    path = _last(run)
    return owner(run) if path is not None and not _state(path)[1] else ""


def _this_process() -> str:
    job = os.environ.get("SLURM_JOB_ID")
    of_job = f", job {job}" if job else ""
    since = datetime.now().isoformat(timespec="seconds")
    return f"process {os.getpid()} on {socket.gethostname()}{of_job}, since {since}"


def _last(run: Path) -> Path | None:
    claims = (path for path in (run / FOLDER).glob("*") if path.name.isdecimal())  # an editor may leave others
    return max(claims, key=lambda path: int(path.name), default=None)


def _after(path: Path) -> Path:
    return path.with_name(str(int(path.name) + 1))


def _is_alive(path: Path) -> bool:
    """Whether the owner of a claim renews it."""
    first, void = _state(path)
    end = time.monotonic() + PATIENCE
    while not void and time.monotonic() < end:
        time.sleep(HEARTBEAT / 10)
        renewed, void = _state(path)
        if renewed != first and not void:
            return True
    return False


def _state(path: Path) -> tuple[int, bool]:
    """When a claim was renewed, and whether it is known to be void; NFS looks both up anew when a file is opened."""
    with path.open(encoding="utf-8") as file:
        renewed, text = os.fstat(file.fileno()).st_mtime_ns, file.read()
    return renewed, f"\n{GIVEN_UP}" in text or _has_ended(text.partition("\n")[2].split())


def _has_ended(process: list[str]) -> bool:
    """Whether a process is known to have ended, by its machine, number and start; of other machines, none is."""
    if len(process) != 3 or process[0] != _machine():
        return False
    try:
        os.kill(int(process[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's, which may be hidden
        return False
    return _started(int(process[1])) != process[2]


def _machine() -> str:
    """This machine since it started, or this container on it: within, a process has one number; empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return ""


def _started(process: int) -> str:
    """When a process started, in clock ticks: its number may be given to another one; empty if it has ended."""
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "XZ" else fields[18]  # the third field is the state, the 22nd the start
