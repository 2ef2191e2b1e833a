"""What belongs to a checkpoint: one small file that names every data file, its size and its checksum.

With `last.ckpt` goes `replay/last.HASH.manifest.json`, where HASH begins the checksum of that very `last.ckpt`.
(Not right beside it: Lightning would take the digits of a hash for the number of a SLURM checkpoint.) Data files
are written first, then the manifest, and the `.ckpt` takes its name last: it is whole exactly when its manifest is
there. Several checkpoints may name the same data file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from lit_metarl.checkpoints.errors import UnusableCheckpoint
from lit_metarl.whole_files import UNFINISHED, write_whole

FORMAT = 1
SUFFIX = ".manifest.json"
DATA_FOLDER = "replay"
CHECKSUM_DIGITS = 12  # of a checksum in a file's name
DATA_PATTERN = f"{DATA_FOLDER}/rank_*/*_{'[0-9a-f]' * CHECKSUM_DIGITS}.safetensors"


def checksum(content: bytes) -> str:
    """SHA-256, the strongest of the fast ones where processors compute it in hardware."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class DataFile:
    """A data file of a checkpoint.

    Attributes:
        name: its path from the checkpoint's folder.
        size: in bytes.
        checksum: of its content.
        rank: the process whose data it holds.
        holds: the name of a ring, or `tables`.
        first: number of the first row of the ring; 0 for tables.
        last: number after the last row; 0 for tables.
    """

    name: str
    size: int
    checksum: str
    rank: int
    holds: str
    first: int = 0
    last: int = 0


@dataclass(frozen=True)
class Manifest:
    """What belongs to a checkpoint.

    Attributes:
        checkpoint: file name of the `.ckpt`.
        checksum: of the `.ckpt`.
        progress: gradient steps that the run had made.
        ranks: number of processes that saved data; 0 for a checkpoint of the weights only.
        files: the data files.
        format: version of this layout.
    """

    checkpoint: str
    checksum: str
    progress: int
    ranks: int
    files: tuple[DataFile, ...]
    format: int = FORMAT

    def path(self, folder: Path) -> Path:
        """Where the manifest lies."""
        return folder / DATA_FOLDER / f"{Path(self.checkpoint).stem}.{self.checksum[:CHECKSUM_DIGITS]}{SUFFIX}"

    def write(self, folder: Path) -> None:
        """Write it for its checkpoint in `folder`."""
        write_whole(self.path(folder), self.encoded())

    def encoded(self) -> bytes:
        """The content of its file: JSON that ends with a checksum of itself."""
        content = asdict(self)
        own = checksum(json.dumps(content).encode())
        return (json.dumps({**content, "manifest_checksum": own}, indent=1) + "\n").encode()

    def check_files(self, checkpoint: Path) -> None:
        """Raise `UnusableCheckpoint` unless every data file is there and unchanged."""
        for file in self.files:
            read_data(checkpoint, file)


def read_data(checkpoint: Path, file: DataFile) -> bytes:
    """The content of a data file of `checkpoint`.

    Raises:
        UnusableCheckpoint: naming the file, if it is not there or not as it was written.
    """
    path = checkpoint.parent / file.name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnusableCheckpoint(checkpoint, f"its data file {path} cannot be read ({error.strerror})") from error
    if len(content) != file.size:
        raise UnusableCheckpoint(
            checkpoint, f"its data file {path} is damaged ({len(content)} bytes instead of {file.size})"
        )
    if checksum(content) != file.checksum:
        raise UnusableCheckpoint(checkpoint, f"its data file {path} is damaged (its content has changed)")
    return content


def manifests(folder: Path, checkpoint: str | None = None) -> list[Path]:
    """The manifests of the checkpoints in `folder`: all, or those of the checkpoint with a file name."""
    paths = sorted((folder / DATA_FOLDER).glob(f"*{SUFFIX}"))
    return [path for path in paths if checkpoint is None or _stem(path) == Path(checkpoint).stem]


def _stem(manifest: Path) -> str:
    return manifest.name.removesuffix(SUFFIX).rpartition(".")[0]


def parse(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        ValueError: if it is damaged.
        UnusableCheckpoint: if it was written by a newer version.
    """
    encoded = path.read_bytes()
    content = json.loads(encoded)
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise ValueError("it is no manifest")
    if content["format"] > FORMAT:
        raise UnusableCheckpoint(
            path.parents[1] / str(content.get("checkpoint")),
            f"it has format {content['format']}, and this version of lit_metarl reads formats up to {FORMAT}",
            "Update lit_metarl.",
        )
    try:
        content.pop("manifest_checksum")
        files = tuple(DataFile(**file) for file in content.pop("files"))
        manifest = Manifest(files=files, **content)
    except (TypeError, KeyError) as error:
        raise ValueError(str(error)) from error
    if manifest.encoded() != encoded:
        raise ValueError("its content has changed")
    return manifest


def find(checkpoint: Path) -> Manifest | None:
    """The manifest of a checkpoint; None if it has none, as one that was copied without its data.

    Raises:
        UnusableCheckpoint: naming the file, if the checkpoint or its manifest is damaged.
    """
    paths = manifests(checkpoint.parent, checkpoint.name)
    if not paths:
        return None
    actual = checksum(checkpoint.read_bytes())
    matching = [path for path in paths if _begins_checksum(path, actual)]
    if not matching:
        raise UnusableCheckpoint(checkpoint, f"{checkpoint} is damaged (its content is not what its manifest says)")
    try:
        manifest = parse(matching[0])
    except ValueError as error:
        raise UnusableCheckpoint(checkpoint, f"its manifest {matching[0]} is damaged ({error})") from error
    if manifest.checksum != actual:
        raise UnusableCheckpoint(checkpoint, f"its manifest {matching[0]} is damaged (it is of another checkpoint)")
    return manifest


def _begins_checksum(manifest: Path, actual: str) -> bool:
    return manifest.name.removesuffix(SUFFIX).rpartition(".")[2] == actual[:CHECKSUM_DIGITS]


def prune(folder: Path, saved: Manifest | None = None, kept: Iterable[DataFile] = ()) -> None:
    """Remove what no checkpoint in `folder` needs: old manifests, unfinished files, data files that none names.

    A damaged manifest keeps all data files, since it cannot tell which it needs.

    Args:
        folder: that of the checkpoints.
        saved: the checkpoint that was just written, whose earlier manifests are of no more use.
        kept: data files that are needed even if no checkpoint here names them.
    """
    needed = {file.name for file in kept}
    for path in manifests(folder):
        outdated = saved is not None and _stem(path) == Path(saved.checkpoint).stem and path != saved.path(folder)
        if outdated or not (folder / f"{_stem(path)}.ckpt").is_file():
            path.unlink(missing_ok=True)
            continue
        try:
            needed |= {file.name for file in parse(path).files}
        except ValueError:
            return
    # Nothing but what has our names: the folder may be the user's own.
    for pattern in (
        f"*.ckpt{UNFINISHED}",
        f"{DATA_FOLDER}/*{SUFFIX}{UNFINISHED}",
        DATA_PATTERN,
        DATA_PATTERN + UNFINISHED,
    ):
        for path in folder.glob(pattern):
            if path.relative_to(folder).as_posix() not in needed:
                path.unlink(missing_ok=True)
