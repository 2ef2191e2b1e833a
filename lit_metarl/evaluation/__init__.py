"""Evaluation of finished trials."""

from lit_metarl.evaluation.metrics import TaskResults, TrialMetrics, cvar
from lit_metarl.evaluation.task_rows import (
    COORDINATE,
    TASK_ROWS,
    TASK_ROWS_CSV,
    RunFacts,
    read_task_rows,
    task_rows,
    write_task_rows,
)

__all__ = [
    "COORDINATE",
    "TASK_ROWS",
    "TASK_ROWS_CSV",
    "RunFacts",
    "TaskResults",
    "TrialMetrics",
    "cvar",
    "read_task_rows",
    "task_rows",
    "write_task_rows",
]
