"""Data files: collected experience, in blocks of rows that are written once and shared by all later checkpoints."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from datamodules.experience import Experience
from datamodules.replay import Ring
from lit_metarl.checkpoints.errors import UnusableCheckpoint
from lit_metarl.checkpoints.manifest import CHECKSUM_DIGITS, DATA_FOLDER, DataFile, checksum, read_data
from lit_metarl.whole_files import write_whole

BLOCK_BYTES = 8 * 2**20
TABLES = "tables"


class DataWriter:
    """Writes the experience of one process into a folder, again and again.

    Rows of a ring never change. They are written in blocks of a fixed number of rows; one that is full
    is written once. So a save writes only new blocks, the last block and the tables.

    Args:
        folder: where the checkpoints are.
        rank: the process.
    """

    def __init__(self, folder: Path, rank: int) -> None:
        self._folder = folder
        self._rank = rank
        self._full: dict[tuple[str, int], DataFile] = {}

    def write(self, experience: Experience) -> tuple[DataFile, ...]:
        """Write what is not written yet; returns all files that now hold the experience.

        Raises:
            NotWritten: if there is no room.
        """
        files = [file for name, ring in experience.rings.items() for file in self._write_ring(name, ring)]
        tables = experience.tables()
        return (*files, self._write_file(TABLES, tables)) if tables else tuple(files)

    def _write_ring(self, name: str, ring: Ring) -> Iterator[DataFile]:
        if ring.written == 0:
            return
        size = _rows_of_a_block(ring.rows(ring.oldest, ring.oldest + 1))
        for start in range(ring.oldest // size * size, ring.written, size):
            known = self._full.get((name, start))
            if known is not None and (self._folder / known.name).is_file():
                yield known
                continue
            first, last = max(start, ring.oldest), min(start + size, ring.written)
            file = self._write_file(name, ring.rows(first, last), first, last)
            if last == start + size:
                self._full[name, start] = file
            yield file

    def _write_file(self, holds: str, tensors: dict[str, Tensor], first: int = 0, last: int = 0) -> DataFile:
        content = safetensors.torch.save({key: tensor.contiguous() for key, tensor in tensors.items()})
        digest = checksum(content)
        rows = f"_{first:012d}_{last:012d}" if last else ""
        name = f"{DATA_FOLDER}/rank_{self._rank}/{holds}{rows}_{digest[:CHECKSUM_DIGITS]}.safetensors"
        write_whole(self._folder / name, content)
        return DataFile(name, len(content), digest, self._rank, holds, first, last)


def _rows_of_a_block(row: dict[str, Tensor]) -> int:
    """The largest power of two of rows like `row` `[1, ...]` that fits into a block."""
    rows = BLOCK_BYTES // max(1, sum(tensor.numel() * tensor.element_size() for tensor in row.values()))
    return 1 << max(0, rows.bit_length() - 1)


def restore(experience: Experience, checkpoint: Path, files: list[DataFile]) -> None:
    """Restore an experience from the `files` of one process of `checkpoint`.

    Raises:
        UnusableCheckpoint: naming the file, if one is damaged; or if rows are missing.
    """
    for name, ring in experience.rings.items():
        blocks = sorted((file for file in files if file.holds == name), key=lambda file: file.first)
        if not blocks:
            ring.refill(0, [])
            continue
        if any(before.last != after.first for before, after in itertools.pairwise(blocks)):
            raise UnusableCheckpoint(checkpoint, f"its manifest leaves out some of the {name}")
        first = max(blocks[0].first, blocks[-1].last - ring.capacity)
        ring.refill(first, (_rows_from(checkpoint, block, first) for block in blocks))
    tables = [file for file in files if file.holds == TABLES]
    if tables:
        experience.load_tables(_read(checkpoint, tables[0]))


def _rows_from(checkpoint: Path, block: DataFile, first: int) -> dict[str, Tensor]:
    skipped = max(0, first - block.first)
    return {key: tensor[skipped:] for key, tensor in _read(checkpoint, block).items()}


def _read(checkpoint: Path, file: DataFile) -> dict[str, Tensor]:
    content = read_data(checkpoint, file)
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load(content)
    except SafetensorError as error:
        raise UnusableCheckpoint(checkpoint, f"its data file {file.name} cannot be read ({error})") from error
    return tensors
