"""Event files that an interruption cut off, and those that are damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from lit_metarl.report.event_logs import read_scalars


def write(folder: Path, time: int, process: int, values: dict[int, float], cut_off: bool = False) -> None:
    """An event file as a process leaves it in `folder`; its last value is lost where it is cut off."""
    with SummaryWriter(str(folder / "written")) as writer:
        for step, value in values.items():
            writer.add_scalar("val/return", value, step)
    (written,) = (folder / "written").iterdir()
    content = written.read_bytes()
    (folder / f"events.out.tfevents.{time}.a.host.{process}.0").write_bytes(content[:-9] if cut_off else content)
    written.unlink()


def test_what_a_killed_process_left_in_the_folder_of_the_resumed_one_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    write(tmp_path, 1, 20, {10: 1.0, 20: 2.0, 30: 3.0}, cut_off=True)
    write(tmp_path, 2, 7, {30: 4.0, 40: 5.0})
    assert read_scalars([tmp_path], ("val/",)) == {"val/return": {10: 1.0, 20: 2.0, 30: 4.0, 40: 5.0}}


def test_what_a_resumed_run_logged_again_in_its_own_folder_counts(tmp_path: Path) -> None:
    folders = [tmp_path / "version_0", tmp_path / "version_1"]
    write(folders[0], 1, 20, {10: 1.0, 20: 2.0, 30: 3.0})
    write(folders[1], 2, 7, {30: 4.0, 40: 5.0})
    assert read_scalars(folders, ("val/",)) == {"val/return": {10: 1.0, 20: 2.0, 30: 4.0, 40: 5.0}}


def test_a_damaged_file_of_the_last_process_is_refused_also_where_it_is_not_its_last(tmp_path: Path) -> None:
    write(tmp_path, 1, 20, {10: 1.0})
    write(tmp_path, 2, 7, {20: 2.0, 30: 3.0}, cut_off=True)
    write(tmp_path, 3, 7, {40: 4.0})
    with pytest.raises(ValueError, match="damaged or cut off"):
        read_scalars([tmp_path], ("val/",))
