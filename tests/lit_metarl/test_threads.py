"""Several threads of the networks that nobody asked for are told of, with what to do."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import pytorch_lightning as pl
import torch

from datamodules import RolloutDataModule
from datamodules.plans import CollectionPlan, MetaBatchPlan
from datamodules.relabeling import NoRelabeler
from datamodules.tasks import UniformTaskSampler
from envs import PointRobot
from lit_metarl.algorithms import PEARL
from lit_metarl.threads import use_threads, warn_of_threads

CPU = torch.device("cpu")


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's choice on a machine of two cores."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


@pytest.mark.usefixtures("two_threads")
def test_a_run_from_python_names_the_remedy_before_it_trains() -> None:
    data = RolloutDataModule(
        PointRobot,
        UniformTaskSampler(),
        NoRelabeler(),
        task_slots=2,
        collection=CollectionPlan(iterations=1, tasks_per_iteration=2, initial_episodes=1, adapted_episodes=1),
        batches=MetaBatchPlan(meta_steps=1, tasks=2, transitions=4, context=4),
    )
    agent = PEARL(data.meta_spec, exploration_episodes=1, layers=[4], encoder_layers=[4])
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", limit_val_batches=0, enable_model_summary=False, **quiet)
    with pytest.warns(UserWarning, match=r"2 threads.*torch.set_num_threads\(1\).*--threads=1.*OMP_NUM_THREADS=2"):
        trainer.fit(agent, data)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    "choose",
    [
        lambda patch: patch.setenv("OMP_NUM_THREADS", "2"),
        lambda patch: patch.setattr(torch, "get_num_threads", lambda: 1),
    ],
)
def test_a_choice_is_respected(choose: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_threads(CPU)


@pytest.mark.usefixtures("two_threads")
def test_a_gpu_has_no_such_threads_and_the_command_lines_number_counts_as_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_threads(torch.device("cuda"))
        monkeypatch.setenv("OMP_NUM_THREADS", "kept by the test")
        use_threads(2)
        warn_of_threads(CPU)
