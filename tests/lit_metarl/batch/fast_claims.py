"""Claims that are renewed and void within a second, in this process and in those that it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lit_metarl.batch import claims

QUICK = {"HEARTBEAT": 0.2, "PATIENCE": 2.0}


def renew_quickly(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the times of all processes with a module in `folder` that Python imports when it starts."""
    for name, seconds in QUICK.items():
        monkeypatch.setattr(claims, name, seconds)
    lines = [f"claims.{name} = {seconds}" for name, seconds in QUICK.items()]
    (folder / "sitecustomize.py").write_text("\n".join(["from lit_metarl.batch import claims", *lines]))
    root = Path(__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{root}")
