"""docs/reference.md shows every class and function that a package exports."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent
LISTED = re.findall(r"(?m)^::: (\S+)", (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"))


def packages() -> list[str]:
    """Every package that declares what it exports, in dotted form."""
    files = [
        file for package in ("envs", "datamodules", "lit_metarl") for file in (ROOT / package).rglob("__init__.py")
    ]
    return sorted(".".join(file.parent.relative_to(ROOT).parts) for file in files if "\n__all__ =" in file.read_text())


def exports(package: str) -> Iterator[tuple[str, object]]:
    """Exported classes and functions with the path that documents them."""
    module = importlib.import_module(package)
    for name in module.__all__:
        exported = getattr(module, name)
        if inspect.isclass(exported) or inspect.isfunction(exported):
            hidden = (ROOT / package.replace(".", "/") / f"{name}.py").exists()  # the site shows the module instead
            yield f"{package}.{name}.{name}" if hidden else f"{package}.{name}", exported


def shown() -> list[object]:
    """All objects on the page: a package's exports, or a single name."""
    objects: list[object] = []
    for listed in LISTED:
        owner, _, name = listed.rpartition(".")
        if listed in packages():
            objects += [exported for path, exported in exports(listed) if path.count(".") == listed.count(".") + 1]
        elif owner and not (ROOT / f"{listed.replace('.', '/')}.py").exists():
            objects.append(getattr(importlib.import_module(owner), name, None))
    return objects


@pytest.mark.parametrize("package", packages())
def test_everything_that_a_package_exports_is_on_the_page(package: str) -> None:
    on_page = {id(exported) for exported in shown()}
    missing = [path for path, exported in exports(package) if id(exported) not in on_page]
    assert not missing, f"add to docs/reference.md: {', '.join('::: ' + path for path in missing)}"


@pytest.mark.parametrize("package", packages())
def test_the_site_hides_nothing_for_lack_of_a_docstring(package: str) -> None:
    assert not [path for path, exported in exports(package) if not inspect.getdoc(exported)]


@pytest.mark.parametrize("listed", LISTED)
def test_what_the_page_lists_exists(listed: str) -> None:
    try:
        found: ModuleType | object = importlib.import_module(listed)
    except ModuleNotFoundError:
        owner, _, name = listed.rpartition(".")
        found = getattr(importlib.import_module(owner), name)
    assert found is not None
