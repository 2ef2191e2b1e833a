"""Whether the packages that `lit_metarl` is made of are its own: their names are such that others may have them too."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

OWN = {"envs": "MetaEnv", "datamodules": "RolloutDataModule"}
"""The packages beside `lit_metarl`, and what each of them holds."""


def other_package() -> str | None:
    """What stands in the place of one of our packages and what to do about it; None if nothing does."""
    home = Path(__file__).parents[1]
    for name, content in OWN.items():
        spec = find_spec(name)
        found = None if spec is None or spec.origin is None else Path(spec.origin)
        if found is None:
            return f"the package '{name}' is missing beside lit_metarl in {home}: install lit_metarl again."
        if found.resolve().parent.parent != home.resolve():
            return (
                f"another package '{name}' ({found}) stands in front of lit_metarl's ({home / name}): "
                "rename it, or run from another folder or environment."
            )
        if content not in found.read_text(encoding="utf-8"):
            return f"another package '{name}' has overwritten lit_metarl's ({found}): use an environment without it."
    return None
