"""Files of rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from envs.errors import ConfigurationError
from lit_metarl.report.rows import read_table, write_table

ROWS = pd.DataFrame({"method": ["none, or", "näive\nline"], "seed": ["1", None]})


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_rows_are_read_back_as_text_and_the_same_rows_are_the_same_file(tmp_path: Path, name: str) -> None:
    for folder in ("first", "second"):
        write_table(tmp_path / folder / name, ROWS)
    assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    table = read_table(tmp_path / "first" / name, ["seed"])
    assert table.to_dict("list") == {"method": ["none, or", "näive\nline"], "seed": ["1", ""]}


def test_a_compressed_file_is_small(tmp_path: Path) -> None:
    for name in ("rows.csv", "rows.csv.gz"):
        write_table(tmp_path / name, pd.concat([ROWS] * 1000))
    assert (tmp_path / "rows.csv.gz").stat().st_size < (tmp_path / "rows.csv").stat().st_size / 10


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: b"x" + content, lambda _: b""])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "rows.csv.gz"
    write_table(path, ROWS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ConfigurationError, match=r"rows\.csv\.gz"):
        read_table(path, ["seed"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("method,seed\nnone,1,2\n", "a row has more or fewer cells"),
        ("method,seed\nnone,1\nhfr\n", "a row has more or fewer cells"),
        ("method,sead\nnone,1\n", r"lacks the columns \['seed'\]"),
    ],
)
def test_rows_that_do_not_fit_their_header_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "rows.csv").write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        read_table(tmp_path / "rows.csv", ["seed"])
