"""Keeps the batch of an update that was not finite."""

from __future__ import annotations

import sys

import pytorch_lightning as pl
import safetensors.torch
from pytorch_lightning.callbacks import Callback

from lit_metarl.checkpoints import checkpoint_folder, last_of
from lit_metarl.non_finite import NonFiniteUpdate, tensors_of
from lit_metarl.whole_files import write_whole


class OffendingBatch(Callback):
    """Writes the batch of an update that was not finite beside the checkpoints, and prints the last good checkpoint."""

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if not isinstance(exception, NonFiniteUpdate):
            return
        folder = checkpoint_folder(trainer)
        name = f"offending_batch_{exception.meta_step}_rank_{trainer.global_rank}.safetensors"
        tensors = {key: tensor.clone() for key, tensor in tensors_of(exception.batch).items()}
        write_whole(folder / name, safetensors.torch.save(tensors))
        print(f"Offending batch: {folder / name}", file=sys.stderr)
        good = last_of(trainer) or trainer.ckpt_path
        if good and trainer.is_global_zero:
            print(f"Last good checkpoint: {good}", file=sys.stderr)
