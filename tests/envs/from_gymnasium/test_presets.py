"""The presets of configs/gymnasium train, and their runs are resumed exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

PRESETS = sorted(path.stem for path in (Path(__file__).parents[3] / "configs" / "gymnasium").glob("*.yaml"))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_trains_and_its_run_is_resumed(preset: str, run_tiny: Callable[..., int], tmp_path: Path) -> None:
    if preset.startswith("fetch"):
        pytest.importorskip("gymnasium_robotics")
    settings = ["--data.env.init_args.horizon=8", "--data.collection.iterations=1"]
    config = f"gymnasium/{preset}.yaml"

    def run(folder: str, *more: str) -> Path:
        place = f"--trainer.logger.init_args.save_dir={tmp_path / folder}"
        assert run_tiny("fit", place, *settings, *more, config=config) == 0
        return sorted((tmp_path / folder).rglob("last.ckpt"))[-1]

    whole = run("whole", "--trainer.max_epochs=3")
    run("parts", "--trainer.max_epochs=2")
    parts = run("parts", "--trainer.max_epochs=3", "--ckpt_path=last")
    one, other = (torch.load(path, weights_only=True)["state_dict"] for path in (whole, parts))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
