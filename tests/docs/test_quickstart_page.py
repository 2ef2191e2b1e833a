"""The Python examples of docs/quickstart.md run, and give the results in their comments."""

from __future__ import annotations

import pytest

from tests.docs.conftest import python_on


@pytest.mark.parametrize("code", python_on("quickstart.md"))
def test_an_example_runs(code: str) -> None:
    names: dict[str, object] = {}
    exec(code, names)
    if "trials" in names:
        assert tuple(names["trials"].episode_returns.shape) == (8, 3)  # type: ignore[attr-defined]
    else:
        observation, _ = names["env"].reset(seed=0)  # type: ignore[attr-defined]
        assert observation.shape == names["env"].observation_space.shape  # type: ignore[attr-defined]
