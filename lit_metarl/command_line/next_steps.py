"""The commands that fit a run: to test, film, continue and report it."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path

from pytorch_lightning.loggers import TensorBoardLogger

from lit_metarl.checkpoints import LAST, checkpoint_folder
from lit_metarl.command_line.run import Run

MOST_COORDINATES = 4
"""Tasks with more coordinates than this make long commands: one of them is filmed."""


def python() -> str:
    """How to start this Python in a terminal: by its name if that finds it, else by its path."""
    found = shutil.which("python")
    return (
        "python" if found is not None and Path(found).parent == Path(sys.executable).parent else short(sys.executable)
    )


def program() -> list[str]:
    """How this program was started."""
    path = Path(sys.argv[0])
    if path.name == "lit-metarl":
        return [path.name]
    if path.parts[-2:] in (("lit_metarl", "__main__.py"), ("batch", "one_run.py")):
        return [python(), "-m", "lit_metarl"]
    return [python(), sys.argv[0] if path.name == "train.py" else "train.py"]


def short(path: Path | str) -> str:
    """A path relative to the working directory, if it lies there."""
    path = Path(path)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def next_steps(run: Run, best: str) -> str:
    """Commands for a run that has trained, one a line, with what they are for.

    Args:
        run: that has just been tested.
        best: path of its best checkpoint; "" if it has none.
    """
    config = short(run.folder / "config.yaml")
    last = checkpoint_folder(run.trainer) / f"{LAST}.ckpt"
    checkpoint = best or last
    commands = {}
    if best or last.is_file():
        evaluated = ["--config", config, "--ckpt_path", short(checkpoint)]
        commands["test again"] = [*program(), "test", *evaluated]
        if run.datamodule.env.has_pictures:
            tasks = _tasks(run)
            chosen = ["--tasks", json.dumps([*tasks.values()])]
            commands[f"film {', '.join(tasks)}"] = [*program(), "predict", *evaluated, *chosen, "--video"]
    epochs = run.trainer.max_epochs
    if last.is_file() and epochs is not None and epochs > 0:
        more = ["--trainer.max_epochs", str(2 * epochs)]
        commands["train on"] = [*program(), "fit", "--config", config, "--ckpt_path", short(last), *more]
    commands["report"] = [python(), "-m", "lit_metarl.report", short(run.folder)]
    logs = next((logger.save_dir for logger in run.trainer.loggers if isinstance(logger, TensorBoardLogger)), None)
    if logs is not None:
        commands["see curves"] = [python(), "-m", "tensorboard.main", "--logdir", short(logs)]
    width = max(map(len, commands))
    return "\n".join(f"  {purpose:{width}}  {shlex.join(command)}" for purpose, command in commands.items())


def _tasks(run: Run) -> dict[str, list[float]]:
    """The worst, the median and the best task of the last evaluation, with few digits where these are a task too."""
    assert run.model.evaluated is not None
    tasks, order = run.model.evaluated.tasks.cpu(), run.model.evaluated.returns[:, -1].argsort().cpu()
    places = {"worst": 0, "median": len(order) // 2, "best": -1} if tasks.shape[1] <= MOST_COORDINATES else {"best": -1}
    chosen: dict[str, list[float]] = {}
    for name, place in places.items():
        task = tasks[order[place]]
        rounded = (100 * task).round() / 100
        readable = bool(run.datamodule.env.has_tasks(rounded[None])[0])
        numbers = [round(value, 2) if readable else value for value in task.tolist()]
        if numbers not in chosen.values():  # of few tasks, one may be two of these
            chosen[name] = numbers
    return chosen
