"""A million transitions on disk against in memory: memory that cannot be given back, and the time of a meta-batch.

The pages of mapped files count as resident, but the system can give them to others at any time; anonymous memory it
cannot. The two replays sample in turn, so that whatever else the machine does slows both.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.replay import TASKS, TRANSITIONS, collect
from benchmarks.report import finish
from datamodules.replay import TaskReplay
from envs import HalfCheetahVel

BATCHES, SLOTS, PER_TASK = 200, 16, 256


def anonymous_mb() -> float:
    """Memory of this process that is not a file's, megabytes (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024 / 1e6


def filled(folder: Path | None) -> tuple[TaskReplay, float]:
    """A full replay, and the memory that it takes."""
    generator = torch.Generator().manual_seed(0)
    before = anonymous_mb()
    replay = TaskReplay(HalfCheetahVel(1), TASKS, TRANSITIONS, folder=folder)
    while replay.store.written < TRANSITIONS:
        collect(replay, generator)
    return replay, anonymous_mb() - before


def seconds_of_batch(replay: TaskReplay, seed: int) -> float:
    generator = torch.Generator().manual_seed(seed)
    slots = torch.randperm(TASKS, generator=generator)[:SLOTS]
    begin = time.perf_counter()
    replay.sample(replay.critic, slots, PER_TASK, generator)
    return time.perf_counter() - begin


def main() -> int:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        filled(None)  # a first one, for what Python and torch keep
        in_memory, memory_mb = filled(None)
        on_disk, disk_mb = filled(Path(folder))
        times: dict[str, list[float]] = {"memory": [], "disk": []}
        for seed in range(BATCHES):
            times["memory"].append(seconds_of_batch(in_memory, seed))
            times["disk"].append(seconds_of_batch(on_disk, seed))
    medians = {name: 1e3 * statistics.median(seconds) for name, seconds in times.items()}
    figures = {
        "memory_anonymous_mb": memory_mb,
        "disk_anonymous_mb": disk_mb,
        "memory_batch_ms": medians["memory"],
        "disk_batch_ms": medians["disk"],
        "disk_batch_ratio": medians["disk"] / medians["memory"],
    }
    return finish("replay_on_disk", figures, {"disk_anonymous_mb": ("<=", 60.0), "disk_batch_ratio": ("<=", 1.5)})


if __name__ == "__main__":
    sys.exit(main())
