"""Large imports are spared garbage collection, and nothing else is."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from lit_metarl.startup import large_imports


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_nothing_is_collected_within_and_what_exists_afterwards_is_never_looked_at() -> None:
    with large_imports():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000


def test_collection_goes_on_after_an_import_that_failed() -> None:
    with pytest.raises(ModuleNotFoundError), large_imports():
        import no_such_package  # noqa: F401
    assert gc.isenabled()
