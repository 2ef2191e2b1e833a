"""What is damaged, missing or of another run is refused with its name; what is whole is found."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_metarl import cli
from lit_metarl.checkpoints import (
    ManifestCheckpointIO,
    UnusableCheckpoint,
    check_configuration,
    newest_whole,
    whole,
)
from lit_metarl.checkpoints.manifest import FORMAT, find, manifests
from tests.conftest import CONFIGS
from tests.lit_metarl.checkpoints.conftest import RunFolder
from tests.lit_metarl.checkpoints.runs import arguments, assert_same_run, checkpoint_of


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x01
    path.write_bytes(content)


def files_of(checkpoint: Path) -> list[Path]:
    """Every file of a checkpoint."""
    found = find(checkpoint)
    assert found is not None
    return [checkpoint, found.path(checkpoint.parent), *(checkpoint.parent / file.name for file in found.files)]


def refusal(capsys: pytest.CaptureFixture[str], *more: str, folder: Path) -> str:
    """What a fit that must be refused says."""
    capsys.readouterr()
    assert cli.main(arguments("PEARL", folder, *more)) == 2
    return capsys.readouterr().err


def test_of_whole_checkpoints_of_the_same_step_the_last_one_is_resumed(tmp_path: Path) -> None:
    for name in ("best", "last", "step"):
        files = ManifestCheckpointIO()
        files.data_folder, files.data_files = tmp_path, [()]
        files.save_checkpoint({"global_step": 3}, tmp_path / f"{name}.ckpt")
    assert newest_whole(tmp_path).checkpoint == tmp_path / "last.ckpt"


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
def test_every_damaged_file_is_refused_by_name_and_last_falls_back(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: object
) -> None:
    last = checkpoint_of(finished)
    files = files_of(last)
    assert len(files) == 4  # transitions and references
    for path in files:
        copy = shutil.copytree(finished, tmp_path / "damaged") / "version_0" / "checkpoints"
        damage(copy / path.relative_to(last.parent))  # type: ignore[operator]
        if damage is not Path.unlink or path.suffix == ".safetensors":
            told = refusal(capsys, f"--ckpt_path={copy / 'last.ckpt'}", folder=tmp_path)
            assert path.name in told
            with pytest.raises(UnusableCheckpoint, match=path.name):
                whole(copy / "last.ckpt")
        assert newest_whole(copy).checkpoint == copy / "best.ckpt"
        shutil.rmtree(tmp_path / "damaged")


def test_a_fit_from_last_says_what_it_passes_over(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = checkpoint_of(finished)
    flip(last)
    assert cli.main(arguments("PEARL", finished, "--ckpt_path=last", "--trainer.max_epochs=3")) == 0
    told = capsys.readouterr().err
    assert f"{last} is passed over" in told
    assert f"Resuming from {last.with_name('best.ckpt')}" in told


def test_a_flipped_byte_of_the_weights_is_noticed_before_a_test_too(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = checkpoint_of(finished)
    flip(last)
    assert cli.main(["test", *arguments("PEARL", finished)[1:], f"--ckpt_path={last}"]) == 2
    assert "last.ckpt" in capsys.readouterr().err


def test_a_checkpoint_without_its_data_serves_a_test_but_no_fit(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copy(checkpoint_of(finished), tmp_path / "copied.ckpt")
    assert cli.main(["test", *arguments("PEARL", tmp_path)[1:], f"--ckpt_path={copy}"]) == 0
    told = refusal(capsys, f"--ckpt_path={copy}", folder=tmp_path)
    assert "copied.ckpt" in told
    assert "not beside it" in told


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (["--data.task_slots=5"], "data.task_slots was 4 and is 5"),
        (["--data.evaluation.test_tasks=7"], "data.evaluation.test_tasks was 5 and is 7"),
        (["--seed_everything=2"], "seed_everything was 1 and is 2"),
        (["--trainer.limit_train_batches=2"], "trainer.limit_train_batches was None and is 2"),
        (["--model.init_args.layers=[3]"], "model.init_args.layers was [64, 64] and is [3]"),
        ([f"--config={CONFIGS}/env/sparse_point_robot.yaml"], "envs.SparsePointRobot"),
        ([f"--config={CONFIGS}/relabel/random.yaml"], "data.relabeler.class_path was"),
        ([f"--config={CONFIGS}/relabel/learned_reward.yaml"], "data.reward_model was None and is"),
        (["--model=lit_metarl.algorithms.RL2", f"--config={CONFIGS}/relabel/none.yaml"], "model.class_path was"),
    ],
)
def test_another_configuration_is_refused_with_the_keys_that_differ(
    finished: Path, capsys: pytest.CaptureFixture[str], change: list[str], difference: str
) -> None:
    told = refusal(capsys, f"--ckpt_path={checkpoint_of(finished)}", *change, folder=finished)
    assert difference in told
    assert "Traceback" not in told


def test_arguments_whose_names_are_the_users_are_compared_one_by_one() -> None:
    def configured(**env_args: float) -> dict[str, Any]:
        return {"data": {"env": {"class_path": "envs.FromGymnasium", "init_args": {"env_args": env_args}}}}

    with pytest.raises(UnusableCheckpoint, match="data.env.init_args.env_args.wind was None and is 1.0"):
        check_configuration(Path("last.ckpt"), configured(gravity=5.0), configured(gravity=5.0, wind=1.0))


def test_a_newer_format_is_refused_with_both_versions(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = checkpoint_of(finished)
    (path,) = manifests(last.parent, last.name)
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": FORMAT + 1}))
    told = refusal(capsys, f"--ckpt_path={last}", folder=finished)
    assert f"format {FORMAT + 1}" in told
    assert f"up to {FORMAT}" in told


def test_last_without_any_checkpoint_starts_afresh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments("PEARL", tmp_path, "--ckpt_path=last", "--trainer.max_epochs=1")) == 0
    assert "starts afresh" in capsys.readouterr().err


@pytest.mark.parametrize("failing", range(4))
def test_a_full_disk_at_any_file_of_a_checkpoint_is_told_and_leaves_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    assert cli.main(arguments("PEARL", tmp_path, "--trainer.max_epochs=1")) == 0
    before = checkpoint_of(tmp_path)
    calls, fsync = -1, os.fsync

    def full(descriptor: int) -> None:
        nonlocal calls
        if os.path.isfile(f"/proc/self/fd/{descriptor}"):  # noqa: PTH113 - not the folders
            calls += 1
            if calls == failing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    own = [f"--{callback}.dirpath={before.parent}" for callback in ("checkpoint", "last_checkpoint")]
    assert cli.main(arguments("PEARL", tmp_path, *own, "--ckpt_path=last", "--trainer.max_epochs=2")) == 1
    assert "No space left on device" in capsys.readouterr().err
    choice = newest_whole(before.parent)
    assert choice.checkpoint == before
    assert not choice.refused
    assert torch.load(before, weights_only=True)["epoch"] == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True).returncode
    if mounted != 0:
        pytest.skip("mounting a file system needs the right to")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_run_on_a_full_disk_stops_clearly_and_goes_on_once_there_is_room(
    small_disk: Path, uninterrupted: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [f"--{callback}.dirpath={small_disk}" for callback in ("checkpoint", "last_checkpoint")]
    assert cli.main(arguments("PEARL", tmp_path / "runs", *own, "--trainer.max_epochs=3")) == 0
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    resume = [*own, "--ckpt_path=last"]
    assert cli.main(arguments("PEARL", tmp_path / "runs", *resume)) == 1
    assert "No space left on device" in capsys.readouterr().err
    ballast.unlink()
    assert cli.main(arguments("PEARL", tmp_path / "runs", *resume)) == 0
    assert_same_run(checkpoint_of(uninterrupted("PEARL")), small_disk / "last.ckpt")
