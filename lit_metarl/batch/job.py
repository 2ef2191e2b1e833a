"""What a job does: one run, which it lets save before the job ends. It imports little, for it only waits."""

from __future__ import annotations

import os
import signal
from subprocess import Popen
from typing import TYPE_CHECKING

from lit_metarl.batch.runs import Run

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

ENDING = signal.SIGUSR2
"""How submitit has SLURM announce the end of a job."""


class RunJob:
    """Makes a run within a job. On the signal that announces the end of the job, the run saves and is requeued."""

    def __call__(self, run: Run) -> int:
        """Make the run; its exit status."""
        before = signal.signal(ENDING, signal.SIG_IGN)  # inherited: SLURM may send it to all processes of a job
        self._process: Popen[bytes] = run.start()
        signal.signal(ENDING, before)
        if os.environ.get("SUBMITIT_EXECUTOR") == "local":  # SLURM sends SIGTERM to the run itself
            signal.signal(signal.SIGTERM, lambda *_: self._process.terminate())
        return self._process.wait()

    def checkpoint(self, run: Run) -> DelayedSubmission:
        """Let the run save; the job to be requeued, which resumes it (called by submitit, in a signal handler)."""
        from submitit.helpers import DelayedSubmission

        self._process.terminate()
        # Popen.wait would wait for a lock of the call that this handler interrupts.
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(RunJob(), run)
