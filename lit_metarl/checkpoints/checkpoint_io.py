"""Writing and reading the `.ckpt` itself."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io import TorchCheckpointIO

from lit_metarl.checkpoints import manifest
from lit_metarl.checkpoints.manifest import DataFile, Manifest, checksum
from lit_metarl.whole_files import write_whole


class ManifestCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint's manifest before the checkpoint, and reads nothing but tensors and primitives.

    Attributes:
        data_folder: where the data files of the next checkpoint are.
        data_files: those of the next checkpoint, by process; empty for one of the weights only.
    """

    def __init__(self) -> None:
        self.data_folder = Path()
        self.data_files: list[tuple[DataFile, ...]] = []

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint, so that a crash at any moment leaves the one before.

        Raises:
            NotWritten: if there is no room.
        """
        target = Path(path)
        by_rank, self.data_files = self.data_files, []
        files = tuple(file for of_rank in by_rank for file in of_rank)
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        content = buffer.getvalue()
        saved = Manifest(target.name, checksum(content), int(checkpoint["global_step"]), len(by_rank), files)
        elsewhere = bool(files) and target.parent.absolute() != self.data_folder.absolute()
        if elsewhere:
            _bring(files, self.data_folder, target.parent)
        saved.write(target.parent)
        write_whole(target, content)
        manifest.prune(target.parent, saved)
        if elsewhere:
            manifest.prune(self.data_folder, kept=files)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Read a checkpoint, without running code that it may carry.

        Raises:
            UnusableCheckpoint: if it is damaged.
        """
        manifest.find(Path(path))
        checkpoint: dict[str, Any] = super().load_checkpoint(path, map_location, weights_only=True)
        return checkpoint

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint and what only it needs."""
        super().remove_checkpoint(path)
        manifest.prune(Path(path).parent)


def _bring(files: tuple[DataFile, ...], source: Path, target: Path) -> None:
    """Let a checkpoint in another folder than the run's (SLURM's) have the data files beside it too."""
    for file in files:
        wanted = target / file.name
        if wanted.is_file():
            continue
        try:
            wanted.parent.mkdir(parents=True, exist_ok=True)
            os.link(source / file.name, wanted)
        except OSError:  # another file system, or one without links
            write_whole(wanted, (source / file.name).read_bytes())
