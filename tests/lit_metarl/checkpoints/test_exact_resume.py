"""A run that was killed goes on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lit_metarl.checkpoints.conftest import RunFolder
from tests.lit_metarl.checkpoints.runs import (
    RUNS,
    assert_same_run,
    checkpoint_of,
    killed,
    results_of,
    scalars,
    train,
)


@pytest.mark.parametrize("number", [1, 2], ids=["one_rank", "two_ranks"])
@pytest.mark.parametrize("name", RUNS)
def test_a_run_killed_at_a_random_moment_resumes_bit_by_bit(
    uninterrupted: RunFolder, tmp_path: Path, name: str, number: int
) -> None:
    whole, broken = uninterrupted(name, number), tmp_path
    killed(name, broken, hash(tmp_path) % 2**32, number)
    assert train(name, broken, "--ckpt_path=last", number=number) == [0] * number
    assert_same_run(checkpoint_of(whole), checkpoint_of(broken, version=1))
    expected = scalars(whole)
    assert any(key.startswith("cem/") for key, _ in expected)
    assert scalars(broken) == expected
    assert results_of(broken) == results_of(whole)
