"""docs/environments.md says what the docstrings say."""

from __future__ import annotations

import pytest

from envs import ENVIRONMENTS, PointRobot
from envs.documentation import PAGE, main, measure, page, returns_of


def test_the_page_is_what_the_docstrings_give() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(returns_of(text)), "run `python -m envs.documentation`"


def test_every_docstring_tells_observation_action_task_features_reward_start_and_end() -> None:
    for env_class in ENVIRONMENTS:
        text = (env_class.__doc__ or "").lower()
        for part in (
            "| observation |",
            "| action |",
            "| task |",
            "| features |",
            "reward",
            "start",
            "end",
            "num_envs:",
        ):
            assert part in text, (env_class.__name__, part)


def test_a_random_point_stays_far_from_its_goal() -> None:
    returns = measure(PointRobot)
    assert -40 < returns.random < -10
    assert -40 < returns.zero < -10


@pytest.mark.parametrize(("argument", "status"), [("--help", 0), ("PointRobt", 2)])
def test_the_page_stays_unless_the_arguments_are_environments(
    argument: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = PAGE.stat().st_mtime_ns
    with pytest.raises(SystemExit) as end:
        main([argument])
    assert end.value.code == status
    assert PAGE.stat().st_mtime_ns == before
    assert status == 0 or "no environment PointRobt; there are " in capsys.readouterr().err
