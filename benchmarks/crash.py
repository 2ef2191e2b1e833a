"""Runs that are killed at random moments, every second one while it writes a checkpoint, and then resumed.

A run counts as resumed if it goes on from `last`, comes to its end and is, to the last bit, what it would
have been. It counts as corrupt if any of its checkpoints is damaged after the kill.
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
from tests.lit_metarl.checkpoints.runs import arguments, assert_same_run, final_checkpoint, in_child, scalars

KILLS = 50
NAMES = ("PEARL", "VariBAD")
FILE_OPERATIONS = ((os, "fsync"), (Path, "replace"), (Path, "open"), (Path, "unlink"))


def quietly(name: str, folder: Path, *more: str) -> int:
    """A run that prints nothing; its exit status."""
    with Path(os.devnull).open("w") as nothing, redirect_stdout(nothing), redirect_stderr(nothing):
        return cli.main(arguments(name, folder, *more))


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

    RolloutDataModule.run_epoch = watched  # type: ignore[method-assign]


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


def measured(name: str, folder: Path) -> tuple[float, int]:
    """Make the run to compare with; its seconds of training after the first checkpoint, and file operations."""
    record = folder / "measured"
    folder.mkdir()

    def run() -> int:
        marks: list[float] = []
        operations: list[None] = []
        when_training_starts(lambda: marks.append(time.monotonic()))
        on_file_operation(lambda: operations.append(None))
        after = cli.MetaRLCLI.after_fit

        def watched(self: cli.MetaRLCLI) -> None:
            record.write_text(f"{time.monotonic() - marks[0]} {len(operations)}")
            after(self)

        cli.MetaRLCLI.after_fit = watched  # type: ignore[method-assign]
        return quietly(name, folder)

    assert in_child(run) == 0
    seconds, operations = record.read_text().split()
    return float(seconds), int(operations)


def main() -> int:
    torch.set_num_threads(1)
    chance = random.Random(0)
    figures = {"kills": 0.0, "resumed": 0.0, "corrupt": 0.0}
    with tempfile.TemporaryDirectory() as temporary:
        whole = {name: Path(temporary) / name for name in NAMES}
        spans = {name: measured(name, folder) for name, folder in whole.items()}
        expected = {name: scalars(folder) for name, folder in whole.items()}
        for number in itertools.count():
            if figures["kills"] == KILLS:
                break
            name, folder = NAMES[number // 2 % 2], Path(temporary) / f"killed_{number}"
            seconds, operations = spans[name]
            moment = chance.random()
            if number % 2:
                arm = partial(kill_at_file_operation, 1 + int(moment * operations))
            else:
                arm = partial(kill_after, moment * seconds)
            if in_child(partial(run_armed, arm, name, folder)) != -signal.SIGKILL:
                print(f"{number}: {name} came to its end before the kill", flush=True)
                continue
            figures["kills"] += 1
            problem = check(name, folder, whole[name], expected[name])
            figures["corrupt"] += problem == "corrupt"
            figures["resumed"] += problem is None
            print(f"{number}: {name} {problem or 'resumed'}", flush=True)
    targets = {"kills": (">=", 50.0), "resumed": (">=", 50.0), "corrupt": ("<=", 0.0)}
    return finish("crash", figures, targets)


def run_armed(arm: Callable[[], None], name: str, folder: Path) -> int:
    """A run that will be killed."""
    arm()
    return quietly(name, folder)


def check(name: str, folder: Path, whole: Path, expected: dict[tuple[str, int], set[float]]) -> str | None:
    """Resume a killed run; what is wrong with it, if anything."""
    try:
        if newest_whole(folder / "version_0" / "checkpoints").refused:
            return "corrupt"
    except UnusableCheckpoint:
        return "corrupt"
    if in_child(lambda: quietly(name, folder, "--ckpt_path=last")) != 0:
        return "did not resume"
    try:
        assert_same_run(final_checkpoint(whole), final_checkpoint(folder))
        assert scalars(folder) == expected
    except (AssertionError, OSError) as error:
        return f"differs: {str(error)[:300]}"
    return None


if __name__ == "__main__":
    sys.exit(main())
