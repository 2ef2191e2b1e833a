"""The examples of docs/extending.md do what the page says."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from types import ModuleType

import pytest
import torch

from tests.docs.conftest import OwnFiles

NO_RELABELING = "--data.relabeler=datamodules.relabeling.NoRelabeler"


@pytest.fixture
def examples(own_files: OwnFiles) -> Callable[[str], ModuleType]:
    """The page's modules."""
    own_files.write("extending.md", "my_envs.py", "my_samplers.py", "my_algorithms.py")
    return importlib.import_module


@pytest.mark.usefixtures("examples")
def test_the_three_examples_run_together_and_are_resumed(run_tiny: Callable[..., int]) -> None:
    arguments = [
        "--data.env=my_envs.Thermostat",
        "--data.task_sampler=my_samplers.AgainWhereItFailed",
        "--data.task_sampler.init_args.worst=2",
        "--model=my_algorithms.BestPlace",
        NO_RELABELING,
    ]
    assert run_tiny("fit", *arguments) == 0
    assert run_tiny("fit", *arguments, "--trainer.max_epochs=3", "--ckpt_path=last") == 0


def test_the_algorithm_learns_to_adapt(
    examples: Callable[[str], ModuleType], run_tiny: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--trainer.max_epochs=60", "--trainer.check_val_every_n_epoch=60", "--data.evaluation.test_tasks=50"]
    sizes = ["--data.collection.tasks_per_iteration=32", "--data.task_slots=32", "--data.evaluation.num_envs=50"]
    env = ["--data.env=my_envs.Thermostat", "--model=my_algorithms.BestPlace", NO_RELABELING]
    assert run_tiny("fit", *env, *more, *sizes, "--data.evaluation.adapted_episodes=2") == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "test/return " in line]
    before, after = (float(number) for number in re.findall(r"-?\d+\.\d+", line))
    assert after > before + 2


def test_the_reward_of_the_environment_is_that_of_its_steps(examples: Callable[[str], ModuleType]) -> None:
    env = examples("my_envs").Thermostat(4)
    env.reset()
    for _ in range(5):
        _, reward, _, _, info = env.step(torch.rand(4, 1, generator=env.generator) * 2 - 1)
    expected = env.reward(info["features"][None], env.tasks[:, None])
    assert torch.equal(reward, expected.reward.diagonal())


def test_the_sampler_repeats_the_worst_tasks_half_of_the_time(examples: Callable[[str], ModuleType]) -> None:
    env = examples("my_envs").Thermostat(1)
    sampler = examples("my_samplers").AgainWhereItFailed(memory=20, worst=2)
    sampler.bind(env.meta_spec, env.task_distribution, seed=0, rank=0)
    first = sampler.sample(20)
    sampler.update(first, torch.arange(20.0))
    later = sampler.sample(1000)
    repeated = torch.isin(later.ids, first.ids)
    assert float(repeated.float().mean()) == pytest.approx(0.5, abs=0.06)
    assert set(later.ids[repeated].tolist()) == set(first.ids[:2].tolist())
    assert set(later.tasks[repeated].flatten().tolist()) == set(first.tasks[:2].flatten().tolist())
