"""CSV files of rows, compressed where their name ends in `.gz`: written one way, read back with mistakes named."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from envs.errors import ConfigurationError, require

Row = Mapping[str, str | int | float | None]
REMAKE = "Make the rows anew with 'python -m lit_metarl.report rows RUNS ROWS'."


def single(value: float) -> float:
    """`value` as the shortest decimal that gives back the single-precision number that was logged."""
    return float(str(np.float32(value)))


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write rows under `columns`; what a row lacks is left empty.

    Raises:
        ConfigurationError: if the file cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without the time, so that the same rows are the same file.
        path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> ConfigurationError:
    """The mistake of an output folder that cannot be written."""
    return ConfigurationError(
        "output", str(path), f"it cannot be written ({error.strerror})", "Choose a folder that you may write to."
    )


def read_rows(path: Path, required: Sequence[str]) -> list[dict[str, str]]:
    """Rows as text, by column.

    Raises:
        ConfigurationError: if the file is missing or damaged, lacks a required column, repeats one, or has a row of
            another length than its header.
    """
    require(path.is_file(), "rows", str(path), "there is no such file", REMAKE)
    content = path.read_bytes()
    try:
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ConfigurationError("rows", str(path), f"it is damaged ({error})", REMAKE) from error
    header, *lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line] or [[]]
    lacking = [name for name in required if name not in header]
    require(not lacking, "rows", str(path), f"it lacks the columns {lacking}", REMAKE)
    require(len(set(header)) == len(header), "rows", str(path), "it names a column twice", REMAKE)
    for number, line in enumerate(lines, start=2):
        message = f"row {number} has {len(line)} cells under {len(header)} columns"
        require(len(line) == len(header), "rows", str(path), message, REMAKE)
    return [dict(zip(header, line)) for line in lines]


def number(path: Path, row: Mapping[str, str], column: str) -> float:
    """A cell as a number; NaN where it is empty.

    Raises:
        ConfigurationError: if it is no number.
    """
    text = row[column]
    try:
        return float(text) if text else math.nan
    except ValueError as error:
        raise ConfigurationError("rows", str(path), f"{column} holds {text!r}, which is no number", REMAKE) from error
