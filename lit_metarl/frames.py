"""A run as pandas frames, whatever its logger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from envs.errors import require
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.algorithms.base import CURVES
from lit_metarl.checkpoints import read_checkpoint
from lit_metarl.evaluation import TASK_ROWS, LearningCurves, read_task_rows, result_rows

if TYPE_CHECKING:  # pandas is imported where it is needed
    import pandas as pd


def curves(run: MetaRLModule | Path | str) -> pd.DataFrame:
    """The learning curves of a run.

    Args:
        run: the algorithm that was trained, a checkpoint, or the folder of a run, whose newest checkpoint counts.

    Returns:
        One row for each number of environment steps: `environment_steps`, and a column for every scalar that training
        or validation logged, such as `val/return`; NaN where it was not measured then.

    Raises:
        ConfigurationError: if there is no checkpoint, or it holds no learning curves.
    """
    if isinstance(run, MetaRLModule):
        return run.curves.frame()
    path = Path(run)
    checkpoint = _newest_checkpoint(path) if path.is_dir() else path
    state = read_checkpoint(checkpoint).get(CURVES)
    hint = "Give a checkpoint that this version of lit_metarl wrote in training."
    require(bool(state), "run", str(checkpoint), "it holds no learning curves", hint)
    assert state is not None
    kept = LearningCurves()
    kept.load_state_dict(state)
    return kept.frame()


def tasks(run: MetaRLModule | Path | str) -> pd.DataFrame:
    """The results of a run's last validation or test, task by task.

    Args:
        run: the algorithm that was evaluated, or the folder of a run from the command line, which ends with a test.

    Returns:
        One row for each task and episode, with the columns of `lit_metarl.evaluation.result_rows`; from a folder also
        those of `task_rows`.

    Raises:
        ConfigurationError: if there was no validation or test.
    """
    if isinstance(run, MetaRLModule):
        name, hint = type(run).__name__, "Call trainer.test(agent, datamodule=data)."
        require(run.evaluated is not None, "run", name, "there was no validation or test", hint)
        assert run.evaluated is not None
        return result_rows(run.evaluated, run.meta_spec)
    path = Path(run) / TASK_ROWS
    hint = "Give the folder of a run from the command line, or the algorithm itself after trainer.test."
    require(path.is_file(), "run", str(run), f"it holds no {TASK_ROWS}", hint)
    return read_task_rows(path)


def _newest_checkpoint(folder: Path) -> Path:
    """The checkpoint that was written last, in a run's folder or below it."""
    found = sorted(folder.rglob("*.ckpt"), key=lambda path: path.stat().st_mtime)
    require(bool(found), "run", str(folder), "it holds no checkpoint", "Give the folder that a run wrote.")
    return found[-1]
