"""The examples of docs/your_environment.md do what the page says."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from envs import FromGymnasium, TaskChanges
from envs.check import check
from envs.task_distributions import Disk, UniformBox
from tests.docs.conftest import DOCS, OwnFiles, python_on

PAGE = "your_environment.md"
BLOCKS = re.findall(r"```(?:python|yaml)\n(.*?)```", (DOCS / PAGE).read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def modules(own_files: OwnFiles) -> None:
    """The page's Python files, one after the other."""
    own_files.write(PAGE, "my_poles.py", "my_reachers.py", "my_fetchers.py")


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        ({"env": "Pendulum-v1", "task_attributes": ["unwrapped.g"]}, TaskChanges.BOTH),
        ({"env": "my_poles.CartPoleLength", "task_method": "set_length"}, TaskChanges.BOTH),
        (
            {
                "env": "my_reachers.hidden_goal",
                "task_method": "set_goal",
                "task_distribution": Disk(0.2),
                "reward": "my_reachers.reward",
                "features": "my_reachers.features",
                "feature_names": ["x", "y", "control"],
            },
            TaskChanges.REWARD,
        ),
    ],
)
def test_nothing_is_wrong_with_an_example(arguments: dict[str, Any], changes: TaskChanges) -> None:
    given = {"task_distribution": UniformBox([0.3], [2.0]), "horizon": 20, **arguments}

    def make_env(num_envs: int, seed: int) -> FromGymnasium:
        return FromGymnasium(num_envs, seed, **given)

    assert check(make_env) == []
    assert make_env(1, 0).meta_spec.task_changes is changes


@pytest.mark.usefixtures("modules")
def test_the_goal_of_another_package_can_be_set() -> None:
    pytest.importorskip("gymnasium_robotics")
    box = UniformBox([1.19, 0.6, 0.39], [1.49, 0.9, 0.69])
    names = ["x", "y", "z"]
    env = FromGymnasium(
        1, env="my_fetchers.FetchReachGoal", task_method="set_goal", task_names=names, task_distribution=box
    )
    assert env.meta_spec.observation_dim == 10


def test_no_example_takes_more_than_its_lines() -> None:
    code = [[line for line in block.splitlines() if line and "import" not in line] for block in python_on(PAGE)]
    assert [len(lines) <= 15 for lines in code] == [True] * 3
    settings = [yaml.safe_load(block) for block in BLOCKS if block.startswith("data:")]
    assert [part["data"]["env"]["class_path"] for part in settings] == ["envs.FromGymnasium"] * 2
    assert all(len(block.splitlines()) <= 15 for block in BLOCKS if block.startswith("data:"))
