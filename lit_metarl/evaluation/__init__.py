"""Evaluation of finished trials, and by Meta-World's own protocol."""

from lit_metarl.evaluation.direction import against_nature, better_mode, check_modes, wrong_mode
from lit_metarl.evaluation.learning_curves import LearningCurves
from lit_metarl.evaluation.meta_world_protocol import MetaWorldProtocol
from lit_metarl.evaluation.metrics import TaskResults, TrialMetrics, cvar, worst
from lit_metarl.evaluation.task_rows import (
    COORDINATE,
    TASK_ROWS,
    read_task_rows,
    result_rows,
    task_rows,
    write_task_rows,
)

__all__ = [
    "COORDINATE",
    "TASK_ROWS",
    "LearningCurves",
    "MetaWorldProtocol",
    "TaskResults",
    "TrialMetrics",
    "against_nature",
    "better_mode",
    "check_modes",
    "cvar",
    "read_task_rows",
    "result_rows",
    "task_rows",
    "worst",
    "write_task_rows",
    "wrong_mode",
]
