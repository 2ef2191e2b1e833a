"""The commands that fit a run: to test, film, continue and report it."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from pytorch_lightning.loggers import TensorBoardLogger

from lit_metarl.checkpoints import last_of
from lit_metarl.command_line.run import Run


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
    last = last_of(run.trainer)
    checkpoint = best or last
    commands = {}
    if checkpoint:
        evaluated = ["--config", config, "--ckpt_path", short(checkpoint)]
        commands["test again"] = [*program(), "test", *evaluated]
        if run.datamodule.env.has_pictures:
            commands["film worst, median, best"] = [*program(), "predict", *evaluated, "--video"]
    epochs = run.trainer.max_epochs
    if last and epochs is not None and epochs > 0:
        more = ["--trainer.max_epochs", str(2 * epochs)]
        if run.configuration["trainer"].get("max_time") is not None:  # it counts the time before a resumption too
            more += ["--trainer.max_time", "null"]
        commands["train on"] = [*program(), "fit", "--config", config, "--ckpt_path", short(last), *more]
    commands["report"] = [python(), "-m", "lit_metarl.report", short(run.folder)]
    logs = next((logger.save_dir for logger in run.trainer.loggers if isinstance(logger, TensorBoardLogger)), None)
    if logs is not None:
        commands["see curves"] = [python(), "-m", "tensorboard.main", "--logdir", short(logs)]
    width = max(map(len, commands))
    return "\n".join(f"  {purpose:{width}}  {shlex.join(command)}" for purpose, command in commands.items())
