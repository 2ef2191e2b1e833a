"""Where the compiled loops are kept."""

from __future__ import annotations

import pytest
from numba.core.caching import CompileResultCacheImpl

from envs.compiled.compilation import compiled


def test_a_loop_is_compiled_where_no_folder_can_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CompileResultCacheImpl, "_locator_classes", [])

    def twice(number: int) -> int:
        return 2 * number

    assert compiled(twice)(4) == 8
