"""The commands in README and on the pages can be parsed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from lit_metarl import cli

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "configs").rglob("README.md")),
    *sorted((ROOT / "results").rglob("*.md")),
]
OWN_FILES = "my_"  # of the examples, which have tests of their own


def commands(program: str) -> list[str]:
    """All commands of the pages that begin with `program`, without comments."""
    found: set[str] = set()
    for page in PAGES:
        text = re.sub(r"\\\n\s*", "", page.read_text(encoding="utf-8"))
        found.update(line.partition("  #")[0].strip() for line in re.findall(rf"(?m)^\s*({program} .*)$", text))
    return sorted(command for command in found if OWN_FILES not in command and "…" not in command)


@pytest.mark.parametrize("command", commands("python train.py fit"))
def test_a_training_command_on_a_page_can_be_parsed(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    arguments = [argument for argument in shlex.split(command)[2:] if argument != "--help"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, "--print_config"])
    assert ended.value.code in (None, 0)


def test_links_between_pages_exist() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
