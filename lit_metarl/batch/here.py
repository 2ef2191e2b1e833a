"""The runs of a batch on this machine, a few at a time."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from types import FrameType, TracebackType

from lit_metarl.batch.claims import PATIENCE, holder, owner
from lit_metarl.batch.runs import CLAIMED, FAILED, FINISHED, Process, Run, outcome_of

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a batch: Ctrl-C, `kill`, and the end of its terminal."""


class Stopped(Exception):
    """A signal ended the batch, and its runs have saved.

    Args:
        number: the signal.
    """

    def __init__(self, number: int) -> None:
        self.number = number


def run_batch(runs: list[Run], jobs: int, start: Callable[[Run], Process] = Run.start) -> list[Run]:
    """Make what is not finished; what other processes make is waited for, and made here if they are killed.

    Args:
        runs: of the batch.
        jobs: runs at a time.
        start: starts what makes a run.

    Returns:
        The runs that failed.

    Raises:
        Stopped: by a signal.
    """
    todo = [run for run in runs if not run.finished]
    print(f"{len(runs) - len(todo)} of {len(runs)} runs are finished, {len(todo)} to go, {jobs} at a time", flush=True)
    told: set[str] = set()

    def tell(line: str) -> None:
        if line not in told:
            print(line, flush=True)
            told.add(line)

    def make(run: Run) -> str | None:
        try:
            other = holder(run.folder)
            process = running.start(run)
        except OSError as error:
            tell(f"{FAILED:8} {run.folder} ({error})")
            return FAILED
        if process is None:
            return None
        void = f"taken over if that gives no sign of life for {PATIENCE:.0f} s"
        tell(f"waiting  {run.folder} (claimed by {other}; {void})" if other else f"started  {run.folder}")
        outcome = running.wait(process)
        about = f" ({owner(run.folder)})" if outcome == CLAIMED else _result(run) if outcome == FINISHED else ""
        tell(f"{outcome:8} {run.folder}{about}")
        return outcome

    failed: list[Run] = []
    with _Running(start) as running, ThreadPoolExecutor(jobs) as pool:
        while todo and running.stopped_by is None:
            futures = [pool.submit(make, run) for run in todo]
            while wait(futures, timeout=1.0).not_done:  # a signal just before a wait is handled only after it
                pass
            outcomes = [(run, future.result()) for run, future in zip(todo, futures)]
            failed += [run for run, outcome in outcomes if outcome == FAILED]
            todo = [run for run, outcome in outcomes if outcome == CLAIMED]
    if running.stopped_by is not None:
        raise Stopped(running.stopped_by)
    return failed


class _Running:
    """The running runs; a context in which a signal has them save and end, and lets no further one start.

    Args:
        start: starts what makes a run.

    Attributes:
        stopped_by: the signal; None as long as none came.
    """

    def __init__(self, start: Callable[[Run], Process]) -> None:
        self.stopped_by: int | None = None
        self._start = start
        self._processes: set[Process] = set()
        self._lock = threading.RLock()  # a second signal may interrupt the handling of the first

    def __enter__(self) -> _Running:
        heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores some
        self._before = {number: signal.signal(number, self._stop) for number in heard}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def start(self, run: Run) -> Process | None:
        """Start a run; None if a signal came."""
        with self._lock:
            if self.stopped_by is not None:
                return None
            process = self._start(run)
            self._processes.add(process)
            return process

    def wait(self, process: Process) -> str:
        """What became of a run."""
        status = process.wait()
        with self._lock:
            self._processes.remove(process)
        return outcome_of(status)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped_by = number
        with self._lock:
            for process in self._processes:
                process.terminate()
        name = signal.Signals(number).name
        os.write(2, f"\n{name}: waiting for the runs to save (once more to stop them at once)\n".encode())


def _result(run: Run) -> str:
    return "" if run.test_return is None else f" (test/return {run.test_return:.4g})"
