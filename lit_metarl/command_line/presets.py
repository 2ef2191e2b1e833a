"""The configuration files that come with the package, by name: `quickstart`, `relabel/hfr`."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
FOLDER = next(folder for folder in (PACKAGE / "presets", PACKAGE.parent / "configs") if folder.is_dir())
"""Where they are: in an installed package, or in a checkout."""


def preset(name: str) -> Path | None:
    """The file of a preset; None if there is none of this name.

    Args:
        name: its path within the folder of presets; without `.yaml`, or from the folder of a checkout on
            (`configs/relabel/hfr.yaml`).
    """
    path = FOLDER / f"{_bare(name)}.yaml"
    return path if path.is_file() and path.resolve().is_relative_to(FOLDER.resolve()) else None


def located(given: str) -> str:
    """A configuration file as it was given, or the preset of this name if there is no such file."""
    if "\n" in given or "{" in given:  # YAML instead of a file
        return given
    found = None if os.path.exists(given) else preset(given)  # noqa: PTH110 - unlike Path.exists, it never raises
    return given if found is None else str(found)


def no_such_file(name: str) -> tuple[str, str]:
    """What is wrong with a name that is neither that of a file nor of a preset, and what to do."""
    names = [path.relative_to(FOLDER).with_suffix("").as_posix() for path in sorted(FOLDER.rglob("*.yaml"))]
    last = {path: path.rpartition("/")[2] for path in names}
    wanted = _bare(name)
    alike = difflib.get_close_matches(wanted.rpartition("/")[2], set(last.values()), n=3, cutoff=0.7)
    nearest = [path for path in names if path in difflib.get_close_matches(wanted, names, 3) or last[path] in alike]
    nearest.sort(key=lambda path: path.count("/"))
    hint = f"The nearest presets are {', '.join(nearest[:5])}." if nearest else "Give one, such as: quickstart."
    return f"there is no such file, and no preset of this name in {FOLDER}", hint


def _bare(name: str) -> str:
    """A name without what may be left out."""
    return name.removeprefix("configs/").removesuffix(".yaml")
