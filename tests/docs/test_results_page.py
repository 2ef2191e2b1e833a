"""The numbers of docs/results.md and docs/gallery.md are those of the experiments they name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def experiments() -> list[Any]:
    """The text of every section that names an experiment, and the experiment's own text."""
    found = []
    for page in ("results.md", "gallery.md"):
        for section in (ROOT / "docs" / page).read_text(encoding="utf-8").split("\n## ")[1:]:
            named = [link for link in LINK.findall(section) if link.endswith("README.md")]
            if named:
                experiment = (ROOT / "docs" / named[0]).read_text(encoding="utf-8")
                name = f"{page}: {section.splitlines()[0]}"
                found.append(pytest.param(LINK.sub("", section), experiment, id=name))
    return found


def numbers(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w.])−?\d+(?:\.\d+)?(?![\w])", text))


@pytest.mark.parametrize(("section", "experiment"), experiments())
def test_every_number_is_in_the_experiment(section: str, experiment: str) -> None:
    assert not numbers(section) - numbers(experiment)
