"""The example of docs/robustness.md does what the page says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from scipy import stats

from tests.docs.conftest import OwnFiles


@pytest.fixture
def example(own_files: OwnFiles) -> ModuleType:
    """The page's module."""
    own_files.write("robustness.md", "my_tasks.py")
    import my_tasks  # type: ignore[import-not-found]

    module: ModuleType = my_tasks
    return module


@pytest.mark.usefixtures("example")
def test_the_example_runs_from_the_command_line(run_tiny: Callable[..., int], configs: Path) -> None:
    arguments = [
        f"--config={configs}/robust/roml.yaml",
        "--data.env=my_tasks.PointOnALine",
        "--data.task_sampler.init_args.family=my_tasks.TriangularFamily",
        "--data.task_sampler.init_args.round_size=5",
    ]
    assert run_tiny("fit", *arguments) == 0


def test_the_examples_density_ratios_and_fit_are_right(example: ModuleType) -> None:
    family = example.TriangularFamily()
    family.bind(example.Triangular())
    peak = torch.tensor([0.8])
    tasks = family.sample(peak, 20_000, torch.Generator().manual_seed(0))
    assert stats.kstest(tasks[:, 0].numpy(), stats.triang(0.8).cdf).pvalue > 1e-3
    ratio = (family.log_prob(family.reference_parameters, tasks) - family.log_prob(peak, tasks)).exp()
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.03)
    assert float(family.fit(tasks, torch.ones(len(tasks)))) == pytest.approx(0.8, abs=0.03)
    assert float(family.mean(peak)) == pytest.approx(float(tasks.mean()), abs=0.01)
