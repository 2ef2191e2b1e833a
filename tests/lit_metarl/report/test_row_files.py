"""Files of rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from envs.errors import ConfigurationError
from lit_metarl.report.row_files import read_rows, write_rows

ROWS: list[dict[str, str | int]] = [{"method": "none, or", "seed": 1}, {"method": "näive\nline"}]


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_rows_are_read_back_as_text_and_the_same_rows_are_the_same_file(tmp_path: Path, name: str) -> None:
    for folder in ("first", "second"):
        write_rows(tmp_path / folder / name, ["method", "seed"], ROWS)
    assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    expected = [{"method": "none, or", "seed": "1"}, {"method": "näive\nline", "seed": ""}]
    assert read_rows(tmp_path / "first" / name, ["seed"]) == expected


def test_a_compressed_file_is_small(tmp_path: Path) -> None:
    for name in ("rows.csv", "rows.csv.gz"):
        write_rows(tmp_path / name, ["method", "seed"], ROWS * 1000)
    assert (tmp_path / "rows.csv.gz").stat().st_size < (tmp_path / "rows.csv").stat().st_size / 10


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: b"x" + content, lambda _: b""])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "rows.csv.gz"
    write_rows(path, ["method", "seed"], ROWS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ConfigurationError, match=r"rows\.csv\.gz"):
        read_rows(path, ["seed"])
