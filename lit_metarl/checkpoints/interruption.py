"""Stopping a run between two steps on a signal."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import FrameType

from datamodules import ranks

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(SystemExit):
    """A signal stopped the run; its state is saved.

    Args:
        number: the signal.
        checkpoint: to resume from.
    """

    def __init__(self, number: int, checkpoint: Path) -> None:
        super().__init__(128 + number)  # as shells report a signal
        self.number = number
        self.checkpoint = checkpoint


class StopRequest:
    """Remembers that SIGINT or SIGTERM came. The second one stops the process at once.

    Attributes:
        number: the signal; None as long as none came.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    def listen(self) -> None:
        """Replace the present handlers, if this is the main thread."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._receive)

    def agreed(self) -> int | None:
        """The signal that came to any of the ranks, the same for all of them; None as long as none came."""
        self.number = ranks.largest(self.number or 0) or None
        return self.number

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.number = number
        name = signal.Signals(number).name
        os.write(2, f"\n{name}: saving after this step (once more to stop at once)\n".encode())
