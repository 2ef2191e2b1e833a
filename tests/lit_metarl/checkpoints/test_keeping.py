"""When checkpoints are written."""

from __future__ import annotations

from pathlib import Path

from lit_metarl.checkpoints import ExactResume, RunCheckpoint
from tests.tiny import tiny_agent, tiny_data, tiny_trainer


def test_a_checkpoint_that_monitors_a_validation_is_written_in_epochs_with_one_only(tmp_path: Path) -> None:
    kept = RunCheckpoint(tmp_path, "{epoch}", "val/return", mode="max", save_top_k=-1, save_on_train_epoch_end=True)
    settings = {"max_epochs": 4, "check_val_every_n_epoch": 2, "default_root_dir": tmp_path}
    trainer = tiny_trainer(callbacks=[kept, ExactResume()], enable_checkpointing=True, **settings)
    trainer.fit(tiny_agent(), datamodule=tiny_data())
    assert {path.name for path in tmp_path.glob("*.ckpt")} == {"epoch=1.ckpt", "epoch=3.ckpt"}
