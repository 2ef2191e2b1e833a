"""The runs of a batch as jobs, which submitit gives to SLURM or to this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs.errors import ConfigurationError, require, require_positive
from lit_metarl.batch.job import RunJob
from lit_metarl.batch.runs import Process, Run

if TYPE_CHECKING:
    import submitit

JOBS = "jobs"
"""Where in the folder of a batch submitit writes its files."""
REQUEUES = 1000
"""How often a run may reach its time limit; submitit's own limit is 3."""


@dataclass(frozen=True)
class Resources:
    """What each run of a batch asks a cluster for: one node, and of it as much as is said here.

    Attributes:
        minutes: the job's time limit; a run that takes longer is requeued and goes on from its last checkpoint.
        partition: of SLURM; None for the cluster's own choice.
        account: that is charged; None for the user's own.
        gpus: of a run.
        cpus: of a run.
        memory_gb: of a run; None for the cluster's own choice.
        seconds_to_save: time that a run has for its last step and checkpoint, before the time limit or a preemption.
        options: further options of sbatch, such as `qos` or `constraint`, by name.
    """

    minutes: int = 24 * 60
    partition: str | None = None
    account: str | None = None
    gpus: int = 0
    cpus: int = 1
    memory_gb: float | None = None
    seconds_to_save: int = 120
    options: dict[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raise a `ConfigurationError` for what no cluster can give."""
        for name in ("minutes", "cpus", "seconds_to_save"):
            require_positive(f"resources.{name}", getattr(self, name))
        require(self.gpus >= 0, "resources.gpus", self.gpus, "it must be 0 or more", "Correct it.")
        memory = self.memory_gb
        hint = "Correct it, or leave it out."
        require(memory is None or memory > 0, "resources.memory_gb", memory, "it must be above 0", hint)
        require(
            self.seconds_to_save < 60 * self.minutes,
            "resources.seconds_to_save",
            self.seconds_to_save,
            f"it must be less than the {self.minutes} minutes of the job",
            "Lower it, or raise resources.minutes.",
        )


def local_starter(folder: Path, resources: Resources) -> Callable[[Run], Process]:
    """What starts a run of the batch in `folder` as a job on this machine.

    Raises:
        ConfigurationError: if submitit is not installed.
    """
    executor = _executor(folder, "local", resources, jobs=1)

    def start(run: Run) -> Process:
        # The job inherits what this thread blocks: of the terminal's signals, it gets what the batch passes on.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
        return _LocalJob(executor.submit(RunJob(), run))

    return start


class _LocalJob:
    """A job on this machine as a process."""

    def __init__(self, job: submitit.Job[int]) -> None:
        self._job = job

    def wait(self) -> int:
        from submitit.core.utils import FailedJobError, UncompletedJobError

        try:
            return self._job.result()
        except FailedJobError:
            return 1
        except UncompletedJobError:  # it was killed
            return -signal.SIGTERM

    def terminate(self) -> None:
        with suppress(ProcessLookupError):  # it has ended just now
            os.kill(int(self._job.job_id), signal.SIGTERM)


def submit(runs: list[Run], folder: Path, resources: Resources, jobs: int) -> str:
    """Submit runs of the batch in `folder` to SLURM as a job array, of which `jobs` run at a time; its number.

    Raises:
        ConfigurationError: if submitit is not installed, or SLURM is not there or refuses the jobs.
    """
    executor = _executor(folder, "slurm", resources, jobs)
    from submitit.core.utils import FailedJobError, FailedSubmissionError  # now that it is known to be installed

    try:
        submitted = executor.map_array(RunJob(), runs)
    except (FailedJobError, FailedSubmissionError) as error:
        reason = f"sbatch refuses the jobs: {str(error).strip()}"
        raise ConfigurationError("resources", resources, reason, "Correct resources in the batch file.") from error
    return str(submitted[0].job_id).partition("_")[0]


def _executor(folder: Path, cluster: str, resources: Resources, jobs: int) -> submitit.AutoExecutor:
    try:
        import submitit
    except ImportError as error:
        raise ConfigurationError(
            "cluster", cluster, "submitit is not installed", "Install it: pip install 'lit_metarl[cluster]'."
        ) from error
    try:
        executor = submitit.AutoExecutor(
            folder / JOBS, cluster=cluster, slurm_max_num_timeout=REQUEUES, local_max_num_timeout=REQUEUES
        )
    except RuntimeError as error:
        hint = "Give this command on a machine of the cluster that submits jobs, or use --cluster local."
        raise ConfigurationError("cluster", cluster, "this machine has no sbatch and srun", hint) from error
    executor.update_parameters(
        name=folder.name,
        timeout_min=resources.minutes,
        gpus_per_node=resources.gpus or None,
        cpus_per_task=resources.cpus,
        slurm_signal_delay_s=resources.seconds_to_save,
        slurm_array_parallelism=jobs,
        slurm_additional_parameters=resources.options,
        slurm_partition=resources.partition,
        slurm_account=resources.account,
        mem_gb=resources.memory_gb,
    )
    return executor
