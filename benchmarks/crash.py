"""Runs that are killed at random moments, every second one while it writes a checkpoint, and then resumed.

Some of the runs have two ranks, of which one, either of them, is killed. A run counts as resumed if it goes on from
`last`, comes to its end and is, to the last bit, what it would have been. It counts as corrupt if any of its
checkpoints is damaged after the kill.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import finish
from datamodules import RolloutDataModule
from lit_metarl import cli
from lit_metarl.checkpoints import UnusableCheckpoint, newest_whole
from lit_metarl.command_line import subcommands
from tests.lit_metarl.checkpoints.runs import arguments, assert_same_run, final_checkpoint, scalars
from tests.ranks import in_ranks

KILLS = 50
KINDS = (("PEARL", 1), ("VariBAD", 1), ("PEARL", 2))  # algorithm and number of ranks
FILE_OPERATIONS = ((os, "fsync"), (Path, "replace"), (Path, "open"), (Path, "unlink"))


def quietly(kind: tuple[str, int], folder: Path, *more: str) -> int:
    """A rank of a run that prints nothing; its exit status."""
    name, number = kind
    with Path(os.devnull).open("w") as nothing, redirect_stdout(nothing), redirect_stderr(nothing):
        return cli.main(arguments(name, folder, f"--trainer.devices={number}", *more))


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def when_training_starts(action: Callable[[], Any]) -> None:
    """Do something when the run has written its first checkpoint and begins its second epoch."""
    run_epoch, epochs = RolloutDataModule.run_epoch, 0

    def watched(data: RolloutDataModule) -> Any:
        nonlocal epochs
        epochs += 1
        if epochs == 2:
            action()
        return run_epoch(data)

    RolloutDataModule.run_epoch = watched  # type: ignore[method-assign, assignment]


def kill_after(seconds: float) -> None:
    """Be killed so long after the first checkpoint."""
    when_training_starts(threading.Timer(seconds, kill).start)


def on_file_operation(action: Callable[[], Any]) -> None:
    """Do something before everything that writing checkpoints does to files, once the first is written."""
    started = threading.Event()
    when_training_starts(started.set)

    def watched(original: Callable[..., Any]) -> Callable[..., Any]:
        def watch(*given: Any, **named: Any) -> Any:
            if started.is_set():
                action()
            return original(*given, **named)

        return watch

    for owner, operation in FILE_OPERATIONS:
        setattr(owner, operation, watched(getattr(owner, operation)))


def kill_at_file_operation(number: int) -> None:
    """Be killed before the operation with this number, counted from the first checkpoint on."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if done == number:
            kill()

    on_file_operation(count)


def measured(kind: tuple[str, int], folder: Path) -> list[tuple[float, int]]:
    """Make the run to compare with; of every rank, the seconds after the first checkpoint, and file operations."""
    folder.mkdir()

    def run(rank: int) -> int:
        marks: list[float] = []
        operations: list[None] = []
        when_training_starts(lambda: marks.append(time.monotonic()))
        on_file_operation(lambda: operations.append(None))
        fit = subcommands.fit

        def watched(*arguments: Any) -> None:
            fit(*arguments)
            (folder / f"measured_{rank}").write_text(f"{time.monotonic() - marks[0]} {len(operations)}")

        subcommands.fit = watched  # type: ignore[assignment]
        return quietly(kind, folder)

    number = kind[1]
    assert in_ranks(run, number) == [0] * number
    records = [(folder / f"measured_{rank}").read_text().split() for rank in range(number)]
    return [(float(seconds), int(operations)) for seconds, operations in records]


def main() -> int:
    torch.set_num_threads(1)
    chance = random.Random(0)
    figures = {"kills": 0.0, "resumed": 0.0, "corrupt": 0.0}
    with tempfile.TemporaryDirectory() as temporary:
        whole = {kind: Path(temporary) / "_".join(map(str, kind)) for kind in KINDS}
        spans = {kind: measured(kind, folder) for kind, folder in whole.items()}
        expected = {kind: scalars(folder) for kind, folder in whole.items()}
        for number in itertools.count():
            if figures["kills"] == KILLS:
                break
            kind, folder = KINDS[number // 2 % len(KINDS)], Path(temporary) / f"killed_{number}"
            victim, moment = chance.randrange(kind[1]), chance.random()
            seconds, operations = spans[kind][victim]
            if number % 2:
                arm = partial(kill_at_file_operation, 1 + int(moment * operations))
            else:
                arm = partial(kill_after, moment * seconds)
            described = f"{number}: {kind[0]}, rank {victim} of {kind[1]}"
            if in_ranks(partial(run_armed, arm, victim, kind, folder), kind[1])[victim] != -signal.SIGKILL:
                print(f"{described} came to its end before the kill", flush=True)
                continue
            figures["kills"] += 1
            problem = check(kind, folder, whole[kind], expected[kind])
            figures["corrupt"] += problem == "corrupt"
            figures["resumed"] += problem is None
            print(f"{described} {problem or 'resumed'}", flush=True)
    targets = {"kills": (">=", 50.0), "resumed": (">=", 50.0), "corrupt": ("<=", 0.0)}
    return finish("crash", figures, targets)


def run_armed(arm: Callable[[], None], victim: int, kind: tuple[str, int], folder: Path, rank: int) -> int:
    """A rank of a run in which the victim will be killed."""
    if rank == victim:
        arm()
    return quietly(kind, folder)


def check(kind: tuple[str, int], folder: Path, whole: Path, expected: dict[tuple[str, int], set[float]]) -> str | None:
    """Resume a killed run; what is wrong with it, if anything."""
    try:
        if newest_whole(folder / "version_0" / "checkpoints").refused:
            return "corrupt"
    except UnusableCheckpoint:
        return "corrupt"
    statuses = in_ranks(lambda rank: quietly(kind, folder, "--ckpt_path=last"), kind[1])
    if any(statuses):
        return f"did not resume (exit statuses {statuses})"
    try:
        assert_same_run(final_checkpoint(whole), final_checkpoint(folder))
        assert scalars(folder) == expected
    except (AssertionError, OSError) as error:
        return f"differs: {str(error)[:300]}"
    return None


if __name__ == "__main__":
    sys.exit(main())
