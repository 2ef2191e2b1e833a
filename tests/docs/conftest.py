"""The code on a page, written to files that Python can import."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"


def python_on(page: str) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


class OwnFiles:
    """Writes a page's blocks as a user would: next to `train.py`, where Python looks first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, page: str, *names: str) -> None:
        """The page's blocks as files with these names, in order."""
        for name, code in zip(names, python_on(page), strict=True):
            (self._folder / name).write_text(code, encoding="utf-8")


@pytest.fixture
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnFiles:
    """A folder for this test that Python imports from."""
    monkeypatch.syspath_prepend(tmp_path)
    return OwnFiles(tmp_path)
