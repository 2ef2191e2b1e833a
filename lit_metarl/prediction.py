"""Trials on chosen tasks: the tasks are checked first, the trials are written to a file and filmed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from datamodules import RolloutDataModule
from datamodules.collection import Trials
from envs.base import MetaEnv
from envs.errors import require
from envs.meta_env_spec import MetaEnvSpec

TRIALS = "trials.safetensors"


def checked_tasks(tasks: list[list[float]], env: MetaEnv) -> Tensor:
    """The tasks as a tensor, `[tasks, task_dim]`.

    Raises:
        ConfigurationError: if one of them is not a task of the environment.
    """
    meta_spec = env.meta_spec
    names = ", ".join(meta_spec.task_names)
    hint = f'A task of {meta_spec.name} is [{names}]; give a list of them, such as --tasks "{_example(env)}".'
    require(len(tasks) > 0, "tasks", tasks, "there is nothing to predict", hint)
    for task in tasks:
        message = f"a task has {meta_spec.task_dim} coordinates, not {len(task)}"
        require(len(task) == meta_spec.task_dim, "tasks", task, message, hint)
    chosen = torch.tensor(tasks, dtype=torch.float32)
    for task, inside, row in zip(tasks, env.has_tasks(chosen).tolist(), chosen):
        require(inside, "tasks", task, env.task_distribution.objection(row), hint)
    return chosen


def _example(env: MetaEnv) -> str:
    tasks = env.task_distribution.sample(2, torch.Generator().manual_seed(0))
    return json.dumps([[round(value, 2) for value in task] for task in tasks.tolist()])


def write_trials(groups: Sequence[Trials], meta_spec: MetaEnvSpec, path: Path) -> None:
    """Write all trials into one safetensors file.

    Its tensors are `tasks` `[tasks, task_dim]`; `[tasks, episodes, time, …]` `observation`, `action` (in [−1, 1]),
    `next_observation`, `features`, `reward`, `sparse_reward` (the task's unshaped reward), `terminated`, `done` (the
    last step of an episode), `valid` (False after that) and what else the algorithm records;
    `[tasks, episodes, …]` `success` and `beliefs` (at the end of an episode), where there are any. The header
    names the environment, the coordinates of its tasks and its features.
    """
    tensors = {key: torch.cat([trials.steps[key] for trials in groups]) for key in groups[0].steps.keys()}  # noqa: SIM118
    valid = tensors["valid"]
    tensors["done"] = valid & ~torch.nn.functional.pad(valid[:, :, 1:], (0, 1))
    tensors["tasks"] = torch.cat([trials.tasks for trials in groups])
    for key in ("success", "beliefs"):
        parts = [part for trials in groups if (part := getattr(trials, key)) is not None]
        if parts:
            tensors[key] = torch.cat(parts)
    about = {"task_names": list(meta_spec.task_names), "feature_names": list(meta_spec.feature_names)}
    header = {"environment": meta_spec.name, **{key: json.dumps(names) for key, names in about.items()}}
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path, header)


def examples(groups: Sequence[Trials]) -> dict[str, int]:
    """The numbers of the tasks on which the adapted (last) episode of the first trial is worst, median and best."""
    tasks = 1 + max(int(trials.task_numbers.max()) for trials in groups if trials.task_numbers is not None)
    order = torch.cat([trials.episode_returns[:, -1] for trials in groups])[:tasks].argsort().tolist()
    places = {"worst": 0, "median": tasks // 2, "best": -1}
    chosen = {order[place]: name for name, place in places.items()}  # of few tasks, one may be two of these
    return {name: number for number, name in chosen.items()}


@contextmanager
def filming(
    data: RolloutDataModule, exploration_episodes: int, films: Mapping[int, Path], tasks: Tensor | None
) -> Iterator[None]:
    """Inside, the trainer predicts trials on `tasks`, or those of the test, and films them.

    Args:
        data: of the run.
        exploration_episodes: of its agent.
        films: the files, by the number of the task.
        tasks: `[tasks, task_dim]`; None for the trials of the test.
    """
    from lit_metarl.videos import Camera, Mp4, film_in  # where it is needed: the command line answers sooner

    with ExitStack() as stack:
        files = {number: Mp4(path) for number, path in films.items()}
        for number, file in files.items():
            films[number].parent.mkdir(parents=True, exist_ok=True)
            stack.callback(file.close)
        camera = Camera({number: file.add for number, file in files.items()}, exploration_episodes)
        data.predict_on(tasks, film_in(data.make_env, camera))
        yield
