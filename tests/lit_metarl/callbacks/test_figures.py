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
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from envs.errors import ConfigurationError
from lit_metarl.callbacks import TensorBoardFigures
from lit_metarl.callbacks.charts import ADAPTATION, HEADLINES, SPEED, layout_of

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
    figures = {"tasks/return", "tasks/belief", "cem/density", "relabel/collected_for_kept_for", ADAPTATION}
    assert images == figures | {"videos/best", "videos/median", "videos/worst"}
    steps = [event.step for event in events.Scalars("val/return")]
    assert len(steps) == 3
    for name in figures:
        assert [image.step for image in events.Images(name)] == steps
    for name in images - figures:
        film = Image.open(io.BytesIO(events.Images(name)[0].encoded_image_string))
        assert film.n_frames == 3 * (1 + 5)
    tensor = events.Tensors("custom_scalars__config__")[0].tensor_proto
    layout = layout_pb2.Layout.FromString(tensor.string_val[0])
    titles = [chart.title for category in layout.category for chart in category.chart]
    assert titles[:2] == ["Return and CVaR", "Adaptation: return by episode"]
    assert "Success" not in titles
    values = {name: [event.value for event in events.Scalars(name)] for name in events.Tags()["scalars"]}
    for name, headline in HEADLINES.items():  # the untrained agent's test, then the validations
        assert values.get(headline, []) == [*values.get(f"test/{name}", [])[:1], *values.get(f"val/{name}", [])]
    assert [event.step for event in events.Scalars("0_overview/return")] == [0, *steps]
    flat = [name for name, logged in values.items() if len(logged) > 1 and len(set(logged)) == 1]
    assert not [name for name in flat if not name.startswith("relabel/")]
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    parameters = HParamsPluginData.FromString(content).session_start_info.hparams
    parts = {"environment": "ShortPoint", "algorithm": "PEARL", "sampler": "CEMTaskSampler"}
    for name, value in {**parts, "relabeler": "HFRRelabeler"}.items():
        assert parameters[name].string_value == value
    assert parameters["seed"].string_value == "1"
    assert parameters["with trainer.max_epochs"].number_value == 3
    assert not [name for name in parameters if "figures" in name or "logger" in name]

    assert not events_of(plain).Tags()["images"]
    weights = [torch.load(path / "checkpoints" / "last.ckpt", weights_only=True) for path in (drawn, plain)]
    for name, value in weights[0]["state_dict"].items():
        assert torch.equal(value, weights[1]["state_dict"][name])
    for key in ("task_sampler", "rollout_generator", "env"):
        states = [checkpoint["RolloutDataModule"][key] for checkpoint in weights]
        assert str(states[0]) == str(states[1])


def test_charts_are_those_that_there_are_scalars_for() -> None:
    layout = layout_of(["val/return", "val/cvar", "val/return_episode_1", "train/kl", "train/critic_loss"])
    assert list(layout) == ["Held-out tasks", "Losses"]
    assert list(layout["Held-out tasks"]) == ["Return and CVaR", "Adaptation: return by episode"]
    losses = {title: chart[1] for title, chart in layout["Losses"].items()}
    assert losses == {"critic loss": [r"train/critic_loss$"], "kl": [r"train/kl$"]}, "each on axes of its own"


def test_the_overview_sorts_before_everything_else() -> None:
    for name in ("cem/density", "collect/return", "relabel/rate", "tasks/return", "Validation", "_hparams_"):
        assert min(*HEADLINES.values(), SPEED, ADAPTATION, name) != name


def layouts(folder: Path) -> list[list[str]]:
    """The groups of charts of a run, layout by layout."""
    written = []
    for event in events_of(folder).Tensors("custom_scalars__config__"):
        layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
        written.append([category.title for category in layout.category])
    return written


def test_charts_are_complete_after_a_late_first_validation_and_in_a_resumed_run(run_tiny: Run, tmp_path: Path) -> None:
    late = "--trainer.check_val_every_n_epoch=2"
    run_tiny("fit", late)
    first = tmp_path / "runs" / "version_0"
    groups = layouts(first)
    assert "Held-out tasks" not in groups[0]
    assert "Held-out tasks" in groups[-1]
    run_tiny("fit", late, f"--ckpt_path={first}/checkpoints/last.ckpt", "--trainer.max_epochs=3")
    assert layouts(tmp_path / "runs" / "version_1")[0] == groups[-1], "before it validated"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--data.env=tests.environments.ShortPoint", "--figures.share=1e-9"], "share leaves. Raise it"),
        (["--data.env=tests.environments.Unrendered", "--figures.share=1"], "Unrendered"),
    ],
)
def test_a_run_without_videos_says_why(
    run_tiny: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert run_tiny("fit", "--trainer.max_epochs=1", *arguments) == 0
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("No videos: "))
    assert reason in line


def test_as_many_examples_are_filmed_as_there_is_time_for(
    run_tiny: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lit_metarl.callbacks.example_videos.MIN_PICTURES", 1)
    clock, seconds = iter([0.0, 1.0]), 17.5  # a picture takes a second, a trial six, and other figures less than five
    monkeypatch.setattr("lit_metarl.callbacks.example_videos.monotonic", lambda: next(clock))
    monkeypatch.setattr(TensorBoardFigures, "_budget", lambda figures, agent: seconds)
    run_tiny("fit", "--data.env=tests.environments.ShortPoint", "--figures.share=1", "--trainer.max_epochs=1")
    images = events_of(tmp_path / "runs" / "version_0").Tags()["images"]
    assert {name for name in images if name.startswith("videos/")} == {"videos/median", "videos/worst"}


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_of_time_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ConfigurationError, match=r"TensorBoardFigures: share = "):
        TensorBoardFigures(share)


def test_a_resumed_run_counts_the_time_that_was_drawn_in_before(
    run_tiny: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
