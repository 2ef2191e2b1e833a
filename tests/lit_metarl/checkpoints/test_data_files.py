"""Data files: written once, shared by checkpoints, pruned with the last that needs them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.experience import Experience
from datamodules.replay import Ring, TransitionStore
from lit_metarl.checkpoints import UnusableCheckpoint, data_files
from lit_metarl.checkpoints.checkpoint_io import ManifestCheckpointIO
from lit_metarl.checkpoints.data_files import DataWriter, restore
from lit_metarl.checkpoints.manifest import DataFile

ROW_BYTES, BLOCK = 8, 4


class Stored(Experience):
    """A store of numbered transitions and a table."""

    def __init__(self, capacity: int) -> None:
        self.store = TransitionStore(capacity)
        self.table = torch.arange(3)

    def add(self, n: int) -> None:  # type: ignore[override]
        numbers = self.store.written + torch.arange(n)
        self.store.append(TensorDict({"number": numbers}, [n]))

    @property
    def numbers(self) -> list[int]:
        numbers = torch.arange(self.store.oldest, self.store.written)
        stored: list[int] = self.store.get(numbers)["number"].tolist() if len(numbers) else []
        assert stored == numbers.tolist()
        return stored

    @property
    def rings(self) -> dict[str, Ring]:
        return {"transitions": self.store}

    def tables(self) -> dict[str, Tensor]:
        return {"table": self.table}

    def load_tables(self, tables: dict[str, Tensor]) -> None:
        self.table = tables["table"]

    batch = state_dict = load_state_dict = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_files, "BLOCK_BYTES", BLOCK * ROW_BYTES)


def blocks(files: tuple[DataFile, ...]) -> list[tuple[int, int]]:
    return [(file.first, file.last) for file in files if file.holds == "transitions"]


def test_a_full_block_is_written_once_and_the_last_one_again(tmp_path: Path) -> None:
    experience, writer = Stored(100), DataWriter(tmp_path, 0)
    experience.add(6)
    first = writer.write(experience)
    assert blocks(first) == [(0, 4), (4, 6)]
    written = (tmp_path / first[0].name).stat().st_mtime_ns
    experience.add(4)
    second = writer.write(experience)
    assert blocks(second) == [(0, 4), (4, 8), (8, 10)]
    assert second[0] == first[0]
    assert (tmp_path / first[0].name).stat().st_mtime_ns == written


@pytest.mark.parametrize("added", [[1], [4], [3, 3, 3, 3], [10, 7, 1], []])
def test_what_is_restored_is_what_was_there_also_after_the_ring_has_wrapped(tmp_path: Path, added: list[int]) -> None:
    experience, writer = Stored(10), DataWriter(tmp_path, 0)
    for n in added:
        experience.add(n)
        files = writer.write(experience)
    files = writer.write(experience)
    for again in (files, DataWriter(tmp_path, 0).write(experience)):
        restored = Stored(10)
        restored.table = torch.zeros(0)
        restored.add(2)  # what was there before is forgotten
        restore(restored, tmp_path / "last.ckpt", list(again))
        assert restored.numbers == experience.numbers
        assert restored.store.written == experience.store.written
        assert torch.equal(restored.table, experience.table)


def test_missing_rows_are_noticed(tmp_path: Path) -> None:
    experience = Stored(100)
    experience.add(12)
    files = DataWriter(tmp_path, 0).write(experience)
    with pytest.raises(UnusableCheckpoint, match="leaves out"):
        restore(Stored(100), tmp_path / "last.ckpt", [files[0], files[2]])


def test_checkpoints_share_files_which_go_with_the_last_that_needs_them(tmp_path: Path) -> None:
    experience, writer, files = Stored(8), DataWriter(tmp_path, 0), ManifestCheckpointIO()

    def save(name: str) -> None:
        files.data_folder, files.data_files = tmp_path, [writer.write(experience)]
        files.save_checkpoint({"global_step": experience.store.written}, tmp_path / f"{name}.ckpt")

    def kept() -> set[str]:
        return {"_".join(path.name.split("_")[:-1]) for path in (tmp_path / "replay").rglob("transitions*")}

    def of(*ranges: tuple[int, int]) -> set[str]:
        return {f"transitions_{first:012d}_{last:012d}" for first, last in ranges}

    experience.add(6)
    save("best")
    experience.add(4)
    save("last")
    assert kept() == of((0, 4), (4, 6), (4, 8), (8, 10))
    experience.add(6)
    save("last")
    assert kept() == of((0, 4), (4, 6), (8, 12), (12, 16))
    files.remove_checkpoint(tmp_path / "best.ckpt")
    assert kept() == of((8, 12), (12, 16))
    assert len(list(tmp_path.glob("replay/*.manifest.json"))) == 1


def test_pruning_leaves_files_alone_that_are_not_ours(tmp_path: Path) -> None:
    mine = tmp_path / "replay" / "rank_0" / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("keep")
    files = ManifestCheckpointIO()
    files.save_checkpoint({"global_step": 0}, tmp_path / "last.ckpt")
    files.remove_checkpoint(tmp_path / "last.ckpt")
    assert mine.read_text() == "keep"


def test_a_checkpoint_in_another_folder_has_its_data_beside_it_too(tmp_path: Path) -> None:
    experience, files = Stored(8), ManifestCheckpointIO()
    experience.add(6)
    written = DataWriter(tmp_path / "run", 0).write(experience)
    files.data_folder, files.data_files = tmp_path / "run", [written]
    files.save_checkpoint({"global_step": 0}, tmp_path / "hpc_ckpt_1.ckpt")
    restored = Stored(8)
    restore(restored, tmp_path / "hpc_ckpt_1.ckpt", list(written))
    assert restored.numbers == experience.numbers


def test_checkpoints_in_two_folders_leave_no_file_that_none_needs(tmp_path: Path) -> None:
    best, last = tmp_path / "best", tmp_path / "last"
    experience, writer, files = Stored(8), DataWriter(best, 0), ManifestCheckpointIO()

    def save(folder: Path) -> None:
        files.data_folder, files.data_files = best, [writer.write(experience)]
        files.save_checkpoint({"global_step": experience.store.written}, folder / f"{folder.name}.ckpt")

    def kept(folder: Path) -> list[tuple[int, ...]]:
        names = sorted(path.name.split("_")[1:3] for path in (folder / "replay").rglob("transitions*"))
        return [tuple(map(int, name)) for name in names]

    experience.add(5)
    save(best)
    for _ in range(3):
        experience.add(1)
        save(last)
    experience.add(1)
    save(last)
    assert kept(last) == [(0, 4), (4, 8), (8, 9)]
    assert kept(best) == [(0, 4), (4, 5), (4, 8), (8, 9)]
