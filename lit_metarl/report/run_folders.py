"""Which runs a folder holds: those of batches, and single ones, each of which may continue others."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from envs.errors import require
from lit_metarl.configuration_hash import configuration_hash, without_machine
from lit_metarl.naming import class_name, environment_name, method_of

LONGEST_NAME = 80
RESULTS, CONFIGURATION, VERSIONS = "results.json", "config.yaml", "versions.json"


class RunName(NamedTuple):
    """What tells one run from another."""

    experiment: str
    method: str
    seed: int

    def __str__(self) -> str:
        return f"{self.experiment}/{self.method}/seed_{self.seed}"


def find_runs(folder: Path) -> dict[RunName, list[Path]]:
    """All runs in and below `folder`, finished or not, in the order of their names.

    Runs of a batch are named by their folders, `<experiment>/<method>/seed_<number>/[version_<k>/]`; others by their
    configuration: environment, method (or the name that they were given), and seed.

    Returns:
        By name, the folders of the run's newest finished version, or of its newest one. There are several where it
        was interrupted and resumed: each continues the one before, wherever that lies. There is none where another
        run, in no batch, has the same configuration and seed and counts instead: finished ones count first, then newer
        ones. The same order says which of several configurations keeps the plain name of their method.

    Raises:
        ConfigurationError: if the folder does not exist or holds no run.
    """
    hint = "Give the folder of a run, or one with several: runs of train.py, or of a batch (lit_metarl.batch)."
    require(folder.is_dir(), "runs", str(folder), "there is no such folder", hint)
    root = folder.resolve()
    folders = list(_folders(root))
    of_batches = {
        place: RunName(place.parts[-3], place.parts[-2], int(place.name.removeprefix("seed_")))
        for place in sorted(folders)
        if re.fullmatch(r"seed_\d+", place.name)
    }
    runs: dict[RunName, list[Path]] = {}
    for place, name in of_batches.items():
        runs[_unused(name, runs, place.relative_to(root))] = newest(place)
    single = [
        place
        for place in folders
        if (place / CONFIGURATION).is_file() and _trained(place) and not of_batches.keys() & {*place.parents}
    ]
    continued = {_continued(version) for version in single}
    chains = [_chain(version) for version in single if version not in continued]
    configurations = set()
    for chain in sorted(chains, key=_precedence, reverse=True):
        name, configuration = _identity(chain[-1])
        runs[_unused(name, runs, chain[-1].relative_to(root))] = (
            [] if (name, configuration) in configurations else chain
        )
        configurations.add((name, configuration))
    require(bool(runs), "runs", str(folder), "it holds no run that began to train", hint)
    return dict(sorted(runs.items()))


def newest(place: Path) -> list[Path]:
    """The folders of a run's newest finished version, the newest last; those of its newest one if none has finished."""
    versions = sorted((path for path in place.glob("version_*") if path.is_dir()), key=_number) or [place]
    finished = [index for index, version in enumerate(versions) if (version / RESULTS).is_file()]
    return _chain(versions[finished[-1] if finished else -1])


def read_configuration(folder: Path) -> dict[str, Any]:
    """The configuration of a run, as primitives.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is damaged.
    """
    try:
        config: dict[str, Any] = yaml.safe_load((folder / CONFIGURATION).read_text(encoding="utf-8"))
        configuration_hash({**config, "env": config["data"]["env"], "model": config["model"]["class_path"]})
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its {CONFIGURATION} is damaged") from error
    return config


def _folders(root: Path) -> Iterator[Path]:
    """`root` and the folders in it, those behind links too, each once."""
    seen = set()
    for place, inner, _ in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            inner.clear()
        else:
            seen.add(real)
            yield Path(place)


def experiment_of(env: Any) -> str:
    """The experiment of runs in an environment: its description, or a checksum of one that is too long for files."""
    name = described(without_machine(env))
    return name if len(name) <= LONGEST_NAME else f"{environment_name(env)}({zlib.crc32(name.encode()):08x})"


def described(part: Any) -> str:
    """The class of a part of a configuration, with its arguments that are not null: `PointRobot(horizon=30)`."""
    arguments = part.get("init_args") if isinstance(part, dict) else None
    given = ", ".join(f"{key}={value}" for key, value in sorted((arguments or {}).items()) if value is not None)
    return f"{class_name(part)}({given})" if given else class_name(part)


def _identity(folder: Path) -> tuple[RunName, str]:
    """What a run that is in no batch is called, and the hash of its configuration."""
    try:
        config = read_configuration(folder)
        given = re.sub(r"_?seed_?\d+$", "", config.get("name") or "") or "_".join(method_of(config))
        name = RunName(experiment_of(config["data"]["env"]), given, config["seed_everything"])
        return name, configuration_hash(config)
    except (OSError, ValueError):
        return RunName("unreadable", "/".join(folder.parts[-2:]), 0), str(folder)


def _precedence(chain: list[Path]) -> tuple[bool, float, tuple[int, str]]:
    """Finished runs above others, then newer ones: by the time in the names of their event logs."""
    times = [float(path.name.split(".")[3]) for path in chain[-1].glob("events.out.tfevents.*")]
    started = max(times, default=(chain[-1] / CONFIGURATION).stat().st_mtime)
    return (chain[-1] / RESULTS).is_file(), started, _number(chain[-1])


def _unused(name: RunName, runs: dict[RunName, list[Path]], place: Path) -> RunName:
    """The name, or if another run has it already, one with the folder that tells them apart."""
    return name if name not in runs else name._replace(method=f"{name.method} ({place.as_posix()})")


def _number(version: Path) -> tuple[int, str]:
    return len(version.name), version.name


def _trained(folder: Path) -> bool:
    """Whether a run with this folder trained, or began to; other subcommands leave neither file."""
    return (folder / RESULTS).is_file() or (folder / VERSIONS).is_file()


def _chain(version: Path) -> list[Path]:
    """The folders of a run: `version`, and before it those that it continues, the oldest first."""
    chain = [version]
    while (before := _continued(chain[0])) is not None and before not in chain:
        chain.insert(0, before)
    return chain


def _continued(version: Path) -> Path | None:
    """The folder whose checkpoint a run went on from; None if it began anew, or that folder is gone."""
    try:
        config = yaml.safe_load((version / CONFIGURATION).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return None  # reported when the configuration is read
    given = config.get("ckpt_path") if isinstance(config, dict) else None
    if given is None:
        return None
    siblings = list(filter(_trained, version.parent.glob("version_*")))
    if not given.endswith(".ckpt"):  # a keyword for the newest checkpoint
        return max((path for path in siblings if _number(path) < _number(version)), key=_number, default=None)
    place = Path(given).resolve().parent.parent  # above its folder of checkpoints
    moved = [path for path in siblings if path.parts[-2:] == place.parts[-2:]]  # together with the folder of runs
    return place if _trained(place) else next(iter(moved), None)
