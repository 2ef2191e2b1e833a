"""What TensorBoard is given besides scalars, and that giving it changes nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from envs.errors import ConfigurationError
from lit_metarl.callbacks import TensorBoardFigures
from lit_metarl.callbacks.figures import layout_of

Run = Callable[..., int]


def events_of(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"images": 0})
    events.Reload()
    return events


def test_a_run_is_drawn_and_filmed_and_ends_with_the_same_weights_as_one_that_is_not(
    run_tiny: Run, configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TensorBoardFigures, "_budget", lambda figures, agent: 1e6 if figures.share else 0.0)
    parts = [
        *(f"--config={configs}/{part}.yaml" for part in ("relabel/hfr", "robust/roml")),
        "--data.env=tests.environments.ShortPoint",
        "--data.task_sampler.init_args.round_size=5",
    ]
    run_tiny("fit", *parts, "--trainer.max_epochs=3", "--figures.share=0.5")
    run_tiny("fit", *parts, "--trainer.max_epochs=3")
    drawn, plain = (tmp_path / "runs" / f"version_{number}" for number in (0, 1))

    events = events_of(drawn)
    images = set(events.Tags()["images"])
    figures = {"tasks/return", "tasks/belief", "cem/density", "relabel/collected_for_kept_for"}
    assert images == figures | {"videos/best", "videos/median", "videos/worst"}
    steps = [event.step for event in events.Scalars("val/return")]
    assert len(steps) == 3
    for name in figures:
        assert [image.step for image in events.Images(name)] == steps
    for name in images - figures:
        film = Image.open(io.BytesIO(events.Images(name)[0].encoded_image_string))
        assert film.n_frames == 2 * (1 + 5)
    tensor = events.Tensors("custom_scalars__config__")[0].tensor_proto
    layout = layout_pb2.Layout.FromString(tensor.string_val[0])
    titles = [chart.title for category in layout.category for chart in category.chart]
    assert titles[:2] == ["Return and CVaR", "Adaptation: return by episode"]
    assert "Success" not in titles
    parameters = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"data/relabeler/class_path" in parameters

    assert not events_of(plain).Tags()["images"]
    weights = [torch.load(path / "checkpoints" / "last.ckpt", weights_only=True) for path in (drawn, plain)]
    for name, value in weights[0]["state_dict"].items():
        assert torch.equal(value, weights[1]["state_dict"][name])
    for key in ("task_sampler", "rollout_generator", "env"):
        states = [checkpoint["RolloutDataModule"][key] for checkpoint in weights]
        assert str(states[0]) == str(states[1])


def test_charts_are_those_that_there_are_scalars_for() -> None:
    layout = layout_of(["val/return", "val/cvar", "val/return_episode_1", "train/kl"])
    assert list(layout) == ["Held-out tasks", "Training"]
    assert list(layout["Held-out tasks"]) == ["Return and CVaR", "Adaptation: return by episode"]
    assert list(layout["Training"]) == ["Losses"]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_of_time_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ConfigurationError, match=r"figures\.share"):
        TensorBoardFigures(share)


def test_a_resumed_run_counts_the_time_that_was_drawn_in_before(
    run_tiny: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lit_metarl.callbacks.figures.FIRST_GUESS_S", 0.0)
    run_tiny("fit", "--figures.share=1", "--figures.videos=false", "--trainer.max_epochs=1")
    checkpoint = tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    before = torch.load(checkpoint, weights_only=True)["callbacks"]["TensorBoardFigures"]
    assert before["seconds"] == before["last_s"] > 0
    at_start: list[dict[str, float]] = []
    monkeypatch.setattr(
        TensorBoardFigures, "on_train_start", lambda figures, *given: at_start.append(figures.state_dict())
    )
    run_tiny("fit", f"--ckpt_path={checkpoint}")
    assert at_start == [before]
