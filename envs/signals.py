"""Signals in processes that work for another one."""

from __future__ import annotations

import signal


def leave_signals_to_the_parent() -> None:
    """Let signals do nothing here: the parent decides when to stop, and may save a checkpoint first.

    A handler of our own, because programs started from here would inherit `SIG_IGN`, and could not be stopped.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)
