"""Callbacks watch a metric in the direction in which it improves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lit_metarl import cli
from tests.lit_metarl.command_line.conftest import PRESET, Parsed

Parse = Callable[..., Parsed]
Write = Callable[..., str]
CALLBACK = "trainer: {{callbacks: [{{class_path: {}, init_args: {{monitor: {}{}}}}}]}}"


@pytest.mark.parametrize("callback", ["EarlyStopping", "ModelCheckpoint"])
@pytest.mark.parametrize(
    ("monitor", "mode"), [("val/return", "max"), ("val/cvar_trial", "max"), ("train/critic_loss", "min")]
)
def test_a_callback_without_a_mode_gets_that_of_its_metric(
    parse: Parse, write: Write, callback: str, monitor: str, mode: str
) -> None:
    typed = [f"--trainer.callbacks+={callback}", f"--trainer.callbacks.monitor={monitor}"]
    for arguments in ([write(CALLBACK.format(callback, monitor, ""))], typed):
        (given,) = parse("fit", PRESET, *arguments).config.trainer.callbacks
        assert given.init_args.mode == mode


def test_the_best_checkpoint_is_that_of_the_lowest_loss_if_a_loss_is_watched(parse: Parse) -> None:
    assert parse("fit", PRESET).config.checkpoint.mode == "max"
    assert parse("fit", PRESET, "--checkpoint.monitor=train/critic_loss").config.checkpoint.mode == "min"
    assert parse("fit", PRESET, "--checkpoint.monitor=step").config.checkpoint.mode == "max"


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_metric_without_a_direction_may_be_watched_in_either(parse: Parse, write: Write, mode: str) -> None:
    file = write(CALLBACK.format("EarlyStopping", "train/entropy", f", mode: {mode}"))
    (given,) = parse("fit", PRESET, file).config.trainer.callbacks
    assert given.init_args.mode == mode


def test_the_mode_of_a_callback_that_is_replaced_or_of_another_one_is_not_its_own(parse: Parse, write: Write) -> None:
    replaced = [
        write(CALLBACK.format("EarlyStopping", name, mode))
        for name, mode in (("val/return", ", mode: max"), ("train/critic_loss", ""))
    ]
    (given,) = parse("fit", PRESET, *replaced).config.trainer.callbacks
    assert given.init_args.mode == "min"
    two = (
        "[{class_path: EarlyStopping, init_args: {monitor: train/critic_loss, mode: min}}, "
        "{class_path: EarlyStopping, init_args: {monitor: val/return}}]"
    )
    callbacks = parse("fit", PRESET, write(f"trainer: {{callbacks: {two}}}")).config.trainer.callbacks
    assert [callback.init_args.mode for callback in callbacks] == ["min", "max"]


STOPPING = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/cvar"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--checkpoint.mode=min"], ["checkpoint.mode = 'min'", "val/return is better high", "Set it to max"]),
        (["--checkpoint.monitor=train/value_loss", "--checkpoint.mode=max"], ["train/value_loss is better low"]),
        ([*STOPPING, "--trainer.callbacks.mode=min"], ["trainer.callbacks.init_args.mode", "val/cvar is better high"]),
        ([*STOPPING, "--trainer.callbacks.init_args.mode=min"], ["val/cvar is better high"]),
        (
            [
                "--trainer.callbacks",
                '[{"class_path": "ModelCheckpoint", "init_args": {"monitor": "val/success", "mode": "min"}}]',
            ],
            ["val/success is better high"],
        ),
    ],
)
def test_a_mode_against_the_direction_of_the_metric_is_refused(
    parse: Parse, arguments: list[str], parts: list[str]
) -> None:
    refusal = parse("fit", PRESET, *arguments).refusal
    assert all(part in refusal for part in parts), refusal


def test_a_wrong_mode_in_a_file_is_refused_with_its_line(parse: Parse, write: Write) -> None:
    file = write("\n" + CALLBACK.format("EarlyStopping", "val/return", ", mode: min"))
    refusal = parse("fit", PRESET, file).refusal
    assert "trainer.callbacks.init_args.mode (in" in refusal
    assert "line 2" in refusal


def test_early_stopping_without_a_mode_does_not_stop_a_run_that_improves(
    run_tiny: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    returns = iter(range(100))
    monkeypatch.setattr(
        "lit_metarl.evaluation.metrics.TrialMetrics.compute", lambda metrics: {"return": _number(next(returns))}
    )
    patience = "--trainer.callbacks.patience=1"
    stopping = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/return", patience]
    assert run_tiny("fit", "--trainer.max_epochs=4", *stopping) == 0
    assert "epoch    4" in capsys.readouterr().out


def _number(value: int) -> Any:
    import torch

    return torch.tensor(float(value))


def test_the_printed_configuration_has_the_mode_and_can_be_given_again(
    parse: Parse, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["fit", PRESET, *STOPPING, "--print_config"])
    printed = capsys.readouterr().out
    assert parse("fit", write(printed)).config.trainer.callbacks[0].init_args.mode == "max"
