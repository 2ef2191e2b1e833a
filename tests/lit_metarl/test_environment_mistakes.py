"""A mistake in an environment of the user's own ends a run with one message."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.parametrize(
    ("name", "status", "parts"),
    [
        ("Misshapen", 2, ["Misshapen.reward, as `reward`,", "shape (4, 1)", "numbers (float32) of shape (4,)"]),
        ("Wordy", 2, ["Wordy._observe gives a str", "of shape (4, 2)"]),
        ("Boundless", 2, ["Boundless.single_action_space", "finite bounds"]),
        ("Sparking", 1, ["Sparking._observe gives [nan, nan] after a reset in sub-environment 0, whose task is ["]),
    ],
)
def test_it_is_named_by_class_and_method(
    run_tiny: Callable[..., int], capsys: pytest.CaptureFixture[str], name: str, status: int, parts: list[str]
) -> None:
    assert run_tiny("fit", f"--data.env=tests.environments.{name}") == status
    told = capsys.readouterr().err
    assert all(part in told for part in parts), told
    assert told.count("error: ") == 1
    assert "Traceback" not in told
