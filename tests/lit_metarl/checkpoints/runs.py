"""Tiny runs that are killed, and what a run leaves behind."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from datamodules import RolloutDataModule
from lit_metarl import cli
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.checkpoints.manifest import find
from tests.conftest import CONFIGS, TINY
from tests.ranks import in_ranks

CEM = [
    "--data.task_sampler=datamodules.tasks.CEMTaskSampler",
    "--data.task_sampler.init_args.family=datamodules.tasks.BetaFamily",
    "--data.task_sampler.init_args.round_size=5",
]
MPTS = [
    "--data.task_sampler=datamodules.tasks.MPTSSampler",
    "--data.task_sampler.init_args.warmup_updates=1",
    "--data.task_sampler.init_args.predictor.batch=5",
]
PDTS = ["--data.task_sampler=datamodules.tasks.PDTSSampler", *MPTS[1:]]
ON_POLICY = [
    "--model.init_args.encoder.hidden=8",
    "--model.init_args.layers=[8]",
    "--model.init_args.ppo.minibatches=2",
    "--data.relabeler=datamodules.relabeling.NoRelabeler",
    "--data.belief.capacity=5",
    "--data.belief.trials=2",
    "--data.collection.iterations=2",
]
MAML = [
    "--model=lit_metarl.algorithms.MAML",
    "--model.init_args.layers=[8]",
    "--model.init_args.episodes_per_step=2",
    "--data.relabeler=datamodules.relabeling.NoRelabeler",
    "--data.collection.iterations=2",
]
RUNS = {
    "PEARL": [f"--config={CONFIGS}/relabel/hfr.yaml", "--data.replay_capacity=300", *CEM],
    "VariBAD": ["--model=lit_metarl.algorithms.VariBAD", *ON_POLICY, *CEM],
    "RL2": ["--model=lit_metarl.algorithms.RL2", *ON_POLICY, *MPTS],
    "RL2 with a hypernetwork": [
        "--model=lit_metarl.algorithms.RL2",
        *ON_POLICY,
        "--model.init_args.hypernetwork.enabled=true",
        *CEM,
    ],
    "MAML": [*MAML, *PDTS],
}
"""What an algorithm is trained with here; every one that is listed must resume exactly, as every task sampler must."""


def arguments(name: str, folder: Path, *more: str) -> list[str]:
    """Those of a run of six short iterations, validated in every second one."""
    return [
        "fit",
        f"--config={CONFIGS}/point_robot.yaml",
        *TINY,
        "--trainer.max_epochs=6",
        "--trainer.check_val_every_n_epoch=2",
        f"--trainer.logger.init_args.save_dir={folder}",
        *RUNS[name],
        *more,
    ]


def train(name: str, folder: Path, *more: str, number: int = 1) -> list[int]:
    """Make a run in a number of ranks; their exit statuses. Several ranks leave `records` behind."""
    if number == 1:
        return [cli.main(arguments(name, folder, *more))]

    def train_recorded(rank: int) -> int:
        keep_records(folder)
        return cli.main(arguments(name, folder, f"--trainer.devices={number}", *more))

    return in_ranks(train_recorded, number)


def keep_records(folder: Path) -> None:
    """Let this rank write down after every iteration what it has learned, and which tasks it was given."""
    tasks: list[torch.Tensor] = []
    run_trials, epoch_end = RolloutDataModule.run_trials, MetaRLModule.on_train_epoch_end

    def recorded_trials(data: RolloutDataModule, given: torch.Tensor, episodes: int) -> Any:
        tasks.append(given)
        return run_trials(data, given, episodes)

    def recorded_epoch(module: MetaRLModule) -> None:
        epoch_end(module)
        data: Any = module.trainer.datamodule  # type: ignore[attr-defined]
        record = {
            "weights": module.state_dict(),
            "task_sampler": data.task_sampler.state_dict(),
            "tasks": torch.cat(tasks),
            "environment_steps": data.environment_steps,
        }
        torch.save(record, folder / f"rank_{module.global_rank}_epoch_{module.current_epoch}.pt")
        tasks.clear()

    RolloutDataModule.run_trials = recorded_trials  # type: ignore[method-assign, assignment]
    MetaRLModule.on_train_epoch_end = recorded_epoch  # type: ignore[method-assign, assignment]


def records(folder: Path, rank: int) -> list[dict[str, Any]]:
    """What a rank wrote down, iteration by iteration."""
    paths = sorted(folder.glob(f"rank_{rank}_epoch_*.pt"))
    return [torch.load(path, weights_only=True) for path in paths]


def in_child(action: Callable[[], Any]) -> int:
    """Do something in a process of its own; its exit status (minus the signal that killed it)."""
    child = multiprocessing.get_context("fork").Process(target=lambda: os._exit(action() or 0))
    child.start()
    child.join(120)
    assert child.exitcode is not None
    return child.exitcode


def kill_in_epoch(number: int, at: float) -> None:
    """Kill this process, as by `kill -9`, when a share `at` of the time of an epoch has gone by in epoch `number`."""
    starts: list[float] = []
    run_epoch = RolloutDataModule.run_epoch

    def watched(data: RolloutDataModule) -> Iterator[Any]:
        starts.append(time.monotonic())
        if len(starts) == number:
            threading.Timer(at * (starts[-1] - starts[-2]), os.kill, (os.getpid(), signal.SIGKILL)).start()
        return run_epoch(data)

    RolloutDataModule.run_epoch = watched  # type: ignore[method-assign, assignment]


def killed(name: str, folder: Path, random_seed: int, number: int = 1, more: Sequence[str] = ()) -> None:
    """Train in processes of which one, the same as any other, is killed at a random moment of iteration 4."""
    chance = random.Random(random_seed)
    moment, victim = chance.random(), chance.randrange(number)

    def train_killed(rank: int) -> int:
        if rank == victim:
            kill_in_epoch(4, moment)
        return cli.main(arguments(name, folder, f"--trainer.devices={number}", *more))

    if number == 1:
        assert in_child(lambda: train_killed(0)) == -signal.SIGKILL
    else:
        statuses = in_ranks(train_killed, number)
        assert statuses[victim] == -signal.SIGKILL
        assert all(status != 0 for status in statuses)  # the others cannot go on without it


def final_checkpoint(folder: Path) -> Path:
    """The last checkpoint of the newest run in a folder that wrote one."""
    return max(folder.glob("version_*/checkpoints/last.ckpt"), key=lambda path: path.parts[-3])


def results_of(folder: Path) -> str:
    """What the newest run in a folder ended with."""
    return max(folder.glob("version_*/results.json"), key=lambda path: path.parts[-2]).read_text()


def checkpoint_of(folder: Path, version: int = 0, name: str = "last") -> Path:
    """A checkpoint of a run."""
    return folder / f"version_{version}" / "checkpoints" / f"{name}.ckpt"


def scalars(folder: Path) -> dict[tuple[str, int], set[float]]:
    """All values that the runs in a folder logged, by name and step, but for the clock."""
    logged: dict[tuple[str, int], set[float]] = {}
    for version in folder.glob("version_*"):
        events = EventAccumulator(str(version), size_guidance={"scalars": 0})
        events.Reload()
        for name in events.Tags()["scalars"]:
            for event in events.Scalars(name):
                if not name.endswith(("wall_clock_s", "steps_per_second")):
                    logged.setdefault((name, event.step), set()).add(event.value)
    return logged


OF_THE_FOLDER = {"dirpath", "best_model_path", "best_k_models", "kth_best_model_path", "last_model_path"}
OTHER_LOOPS = {"test_loop", "validate_loop", "predict_loop"}  # a resumed run skips the test before training
COMPLETED = {"epoch", "completed"}  # are one more in a checkpoint that is written after the last epoch, not at its end
NOT_COMPARED = {*OTHER_LOOPS, *COMPLETED, "configuration", "seconds", "progress/wall_clock_s", *OF_THE_FOLDER}


def assert_same(first: Any, second: Any, where: str = "checkpoint") -> None:
    """Two states are equal to the last bit, but for clocks and names of folders."""
    if isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first.keys() - NOT_COMPARED:
            assert_same(first[key], second[key], f"{where}/{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for index, (one, other) in enumerate(zip(first, second)):
            assert_same(one, other, f"{where}/{index}")
    elif isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype, where
        assert torch.equal(first, second) or bool((first.isnan() & second.isnan()).all()), where
    else:
        assert first == second, where


def assert_same_run(first: Path, second: Path) -> None:
    """Two checkpoints hold the same state and the same experience."""
    states = [torch.load(path, weights_only=True) for path in (first, second)]
    assert_same(*states)
    found = [find(path) for path in (first, second)]
    contents = [[(f.holds, f.first, f.last, f.checksum) for f in m.files] for m in found if m is not None]
    assert len(contents) == 2
    assert contents[0] == contents[1]
