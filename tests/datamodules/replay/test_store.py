"""`TransitionStore` against a list of everything that was ever stored."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from tensordict import TensorDict

from datamodules.replay import TransitionStore
from envs import ConfigurationError


def chunk(values: torch.Tensor) -> TensorDict:
    return TensorDict({"observation": values[:, None].expand(-1, 3).clone()}, [len(values)])


@pytest.fixture(params=["memory", "disk"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Where a store keeps its files; None in memory."""
    return tmp_path if request.param == "disk" else None


@pytest.mark.parametrize("sizes", [[4, 4, 4, 4], [3, 5, 7, 1, 10, 2, 9], [10, 10, 10], [1] * 35])
def test_every_transition_that_is_kept_reads_back_across_any_number_of_wraps(
    folder: Path | None, sizes: list[int]
) -> None:
    store, everything = TransitionStore(10, folder), torch.empty(0)
    for size in sizes:
        values = torch.rand(size, generator=torch.Generator().manual_seed(len(everything)))
        assert store.append(chunk(values)) == len(everything)
        everything = torch.cat((everything, values))
        assert store.written == len(everything)
        assert store.oldest == max(0, len(everything) - 10)
        numbers = torch.arange(store.oldest, store.written)
        assert torch.equal(store.get(numbers)["observation"][:, 2], everything[numbers])


def test_the_shape_of_the_numbers_becomes_the_batch_shape(folder: Path | None) -> None:
    store = TransitionStore(8, folder)
    store.append(chunk(torch.arange(6.0)))
    numbers = torch.tensor([[5, 0, 2], [1, 1, 4]])
    drawn = store.get(numbers)
    assert drawn.batch_size == (2, 3)
    assert torch.equal(drawn["observation"][..., 0], numbers.float())


def test_what_was_read_does_not_change_when_its_place_is_overwritten(folder: Path | None) -> None:
    store = TransitionStore(4, folder)
    store.append(chunk(torch.arange(4.0)))
    drawn = store.get(torch.arange(4))
    store.append(chunk(torch.arange(4.0) + 100))
    assert drawn["observation"][:, 0].tolist() == [0, 1, 2, 3]


def test_more_than_the_capacity_at_once_is_refused() -> None:
    with pytest.raises(ValueError, match="11 transitions .* replay of 10"):
        TransitionStore(10).append(chunk(torch.arange(11.0)))


def test_a_store_on_disk_has_the_room_that_it_needs_and_leaves_no_file_behind(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    store = TransitionStore(1000, folder)
    store.append(chunk(torch.arange(4.0)))
    mapped = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line]
    assert sum(int(end, 16) - int(start, 16) for start, end in (line[0].split("-") for line in mapped)) >= 12_000
    assert all(line[-1] == "(deleted)" for line in mapped)
    assert list(folder.iterdir()) == []


def test_a_store_on_disk_reserves_every_byte_so_that_a_full_disk_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserved: list[int] = []
    monkeypatch.setattr(os, "posix_fallocate", lambda file, offset, size: reserved.append(size))
    TransitionStore(1000, tmp_path).append(chunk(torch.arange(4.0)))
    assert reserved == [1000 * 3 * 4]


def test_too_little_room_on_the_disk_is_told_before_anything_is_written(tmp_path: Path) -> None:
    store = TransitionStore(10**14, tmp_path)
    with pytest.raises(
        ConfigurationError, match=r"replay_folder = .*1,200,000,000 MB of 100,000,000,000,000 trans.*make room"
    ):
        store.append(chunk(torch.arange(4.0)))
    assert list(tmp_path.iterdir()) == []


def test_a_replay_that_will_not_fit_into_memory_is_told_of_at_its_first_transition() -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    store = TransitionStore(2 * memory // 12)  # a transition is three numbers of four bytes
    with pytest.warns(UserWarning, match="set data.replay_storage to disk, or lower data.replay_capacity"):
        store._reserve(chunk(torch.zeros(1)))
