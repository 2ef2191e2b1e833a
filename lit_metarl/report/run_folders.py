"""Which runs a folder holds: `FOLDER/<experiment>/<method>/seed_<n>/[version_<k>/]`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import yaml

from envs.errors import require

LAYOUT = "FOLDER/<experiment>/<method>/seed_<number>/"
RESULTS = "results.json"
CONFIGURATION = "config.yaml"


class RunName(NamedTuple):
    """What tells one run from another."""

    experiment: str
    method: str
    seed: int

    def __str__(self) -> str:
        return f"{self.experiment}/{self.method}/seed_{self.seed}"


def find_runs(folder: Path) -> dict[RunName, Path]:
    """All runs below `folder`, finished or not, in the order of their names.

    Raises:
        ConfigurationError: if the folder does not exist or holds no run in the expected layout.
    """
    hint = f"Give a folder with runs as {LAYOUT}."
    require(folder.is_dir(), "runs", str(folder), "there is no such folder", hint)
    runs = {}
    for place in folder.glob("*/*/seed_*"):
        number = re.fullmatch(r"seed_(\d+)", place.name)
        if number is not None and place.is_dir():
            runs[RunName(place.parts[-3], place.parts[-2], int(number[1]))] = place
    require(bool(runs), "runs", str(folder), "it holds no run", hint)
    return dict(sorted(runs.items()))


def newest_finished(place: Path) -> list[Path]:
    """The folders of a run's newest finished version, the newest last; empty if there is none.

    There are several where a run was interrupted and resumed (`ckpt_path`): each continues the one before.
    """
    versions = sorted(place.glob("version_*"), key=lambda path: (len(path.name), path.name))
    while versions and not (versions[-1] / RESULTS).is_file():
        versions.pop()
    if not versions:
        return [place] if (place / RESULTS).is_file() else []
    first = len(versions) - 1
    while first > 0 and _resumed(versions[first]):
        first -= 1
    return versions[first:]


def _resumed(version: Path) -> bool:
    try:
        config = yaml.safe_load((version / CONFIGURATION).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return False  # reported when the configuration is read
    return isinstance(config, dict) and config.get("ckpt_path") is not None
