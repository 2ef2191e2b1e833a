"""The runs of a batch on this machine, a few at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lit_metarl.batch.claims import owner
from lit_metarl.batch.runs import CLAIMED, FAILED, Run


def run_batch(runs: list[Run], jobs: int, execute: Callable[[Run], str] = Run.execute) -> list[Run]:
    """Make what is not finished; what other processes make is waited for, and made here if they are killed.

    Args:
        runs: of the batch.
        jobs: runs at a time.
        execute: makes a run; returns what became of it.

    Returns:
        The runs that failed.
    """
    todo = [run for run in runs if not run.finished]
    print(f"{len(runs) - len(todo)} of {len(runs)} runs are finished, {len(todo)} to go, {jobs} at a time", flush=True)
    told: set[str] = set()

    def execute_and_tell(run: Run) -> str:
        outcome = execute(run)
        line = f"{outcome:8} {run.folder}" + (f" ({owner(run.folder)})" if outcome == CLAIMED else "")
        if line not in told:
            print(line, flush=True)
            told.add(line)
        return outcome

    failed: list[Run] = []
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while todo:
                outcomes = list(zip(todo, pool.map(execute_and_tell, todo)))
                failed += [run for run, outcome in outcomes if outcome == FAILED]
                todo = [run for run, outcome in outcomes if outcome == CLAIMED]
        except KeyboardInterrupt:  # the terminal interrupts the running runs too; wait for them
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failed
