"""A task sampler that will not do what it is there for is told of before the run."""

from __future__ import annotations

import re
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from datamodules.plans import CollectionPlan
from datamodules.tasks import CEMTaskSampler, MPTSSampler, RiskPredictorPlan, TaskSampler, UniformTaskSampler
from lit_metarl.sampler_warnings import warn_of_task_sampler


def warned(sampler: TaskSampler, epochs: int, cvar_alpha: float = 0.05) -> list[str]:
    """What is said about a run of 8 trials an epoch."""
    data: Any = SimpleNamespace(task_sampler=sampler, collection=CollectionPlan(iterations=2, tasks_per_iteration=4))
    trainer: Any = SimpleNamespace(max_epochs=epochs)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_task_sampler(trainer, data, cvar_alpha)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("sampler", "waits", "setting"),
    [
        (CEMTaskSampler(round_size=80), 80, "round_size"),
        (MPTSSampler(warmup_updates=4, predictor=RiskPredictorPlan(batch=20)), 80, "warmup_updates"),
        (MPTSSampler(warmup_updates=0, predictor=RiskPredictorPlan(batch=80)), 80, "warmup_updates"),
    ],
)
def test_a_run_that_ends_before_the_sampler_acts_is_told_so(sampler: TaskSampler, waits: int, setting: str) -> None:
    (message,) = warned(sampler, epochs=10)  # as many trials as it waits for
    assert re.search(rf"{type(sampler).__name__}.* {waits} trials.* has 80: it changes nothing.*{setting}", message)
    assert warned(sampler, epochs=11) == []
    assert warned(sampler, epochs=-1) == []  # without an end


def test_a_sampler_that_never_learns_is_left_alone() -> None:
    assert warned(UniformTaskSampler(), epochs=1, cvar_alpha=0.01) == []


def test_two_shares_of_worst_tasks_are_told_of() -> None:
    (message,) = warned(CEMTaskSampler(alpha=0.05, round_size=8), epochs=10, cvar_alpha=0.01)
    assert re.search(r"worst 5 %.*worst 1 %.*task_sampler.init_args.alpha and model.init_args.cvar_alpha", message)
    assert warned(CEMTaskSampler(alpha=0.01, round_size=8), epochs=10, cvar_alpha=0.01) == []
    assert warned(CEMTaskSampler(alpha=0.05, round_size=8, threshold=1.0), epochs=10, cvar_alpha=0.01) == []
