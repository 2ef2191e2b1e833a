"""Rules of the architecture that can be read off the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "envs": {"datamodules", "lit_metarl"},
    "datamodules": {"lit_metarl"},
}
GLOBAL_RANDOMNESS = {"rand", "randn", "randint", "randperm", "normal", "multinomial", "bernoulli"}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_go_one_way(package: str) -> None:
    wrong = {str(path): imported(path) & FORBIDDEN[package] for path in sources(package)}
    assert not {path: names for path, names in wrong.items() if names}


@pytest.mark.parametrize("package", ["envs", "datamodules", "lit_metarl"])
def test_every_random_draw_names_its_generator(package: str) -> None:
    nameless = []
    for path in sources(package):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = node.func.value
            drawn = isinstance(owner, ast.Name) and owner.id == "torch" and node.func.attr in GLOBAL_RANDOMNESS
            if drawn and "generator" not in {keyword.arg for keyword in node.keywords}:
                nameless.append(f"{path}:{node.lineno}")
    assert not nameless
