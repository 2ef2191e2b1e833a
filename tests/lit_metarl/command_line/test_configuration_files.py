"""Mistakes in configuration files are reported with file, line and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lit_metarl import cli
from tests.conftest import CONFIGS
from tests.lit_metarl.command_line.conftest import PRESET, Parsed

Parse = Callable[..., Parsed]
Write = Callable[..., str]
PEARL = "lit_metarl.algorithms.PEARL"


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (f"model: {{class_path: {PEARL}, layers: [8]}}", ["model.layers", "line 1", "[8]", "under model.init_args"]),
        ("data:\n  env:\n    class_path: envs.PointRobot\n    horizon: 3", ["data.env.horizon", "line 4", "init_args"]),
        (
            "trainer:\n  callbacks:\n  - class_path: EarlyStopping\n    monitor: val/return",
            ["trainer.callbacks.monitor", "line 4", "under trainer.callbacks.init_args"],
        ),
        ("data:\n  env:\n    height: 3", ["'data.env.height'", "line 3"]),
        ("layers: [8]", ["'layers'", "line 1", "model.init_args.layers"]),
        ("init_args:\n  layers: [8]", ["'init_args.layers'", "line 2", "model.init_args.layers"]),
        ("data:\n  init_args:\n    task_slots: 8", ["'data.init_args.task_slots'", "right under it"]),
        (
            "data:\n  class_path: datamodules.RolloutDataModule\n  init_args:\n    task_slots: 8",
            ["'data.init_args.task_slots'", "right under it"],
        ),
        ("trainer:\n  class_path: pytorch_lightning.Trainer", ["'trainer.class_path'", "line 2", "right under it"]),
        ("fit:\n  seed_everything: 5", ["'fit.seed_everything'", "line 2", "'seed_everything'"]),
        ("model:\n  init_args:\n    layers: '8'", ["model.init_args.layers (in", "line 3", "a list of whole numbers"]),
        ("model:\n  init_args:\n    layers: text", ["model.init_args.layers (in", "line 3", "a list of whole numbers"]),
        ("model:\n  init_args: [1]", ["model (in", "line 1"]),
        ("model: 3", ["model (in", "'3'", "it is no MetaRLModule"]),
        ("model: null", ["required: fit.model"]),
        ("data:", ["data (in", "line 1", "it has keys of its own"]),
        ("trainer:\nseed_everything: 3", ["trainer (in", "line 1", "it has keys of its own"]),
        ("data:\n  collection: 3", ["data.collection (in", "line 2", "= 3", "it has keys of its own"]),
        ("checkpoint: [a]", ["checkpoint (in", "line 1", "['a']", "it has keys of its own"]),
        ("threads: 0", ["threads (in", "line 1", "'0'", "a whole number of at least 1, or null"]),
        ("trainer: {max_epochs: 3.0}", ["trainer.max_epochs (in", "'3.0'", "a whole number, or null"]),
        ("", ["it is empty"]),
        ("# only a comment", ["it is empty"]),
        ("- a\n- b", ["it holds a list"]),
        ("just text", ["it holds text"]),
        ("trainer:\n\tmax_epochs: 3", ["line 2", "a tab"]),
        ("seed_everything: {a", ["cannot be read as YAML in line"]),
        ("seed_everything: 5\nthreads: 1\nseed_everything: 6", ["seed_everything (in", "line 3", "in line 1 too"]),
        ("model:\n  init_args: {layers: [8], layers: [9]}", ["model.init_args.layers", "line 2 too"]),
        ("# käse".encode("latin-1"), ["not encoded in UTF-8", "Save it as UTF-8"]),
        ("seed_everything: 5".encode("utf-16"), ["not encoded in UTF-8"]),
        ("model: {init_args: {seed: 5}}", ["model.init_args.seed (in", "line 1", "--seed_everything=5"]),
    ],
)
def test_a_mistake_in_a_file_is_reported_in_one_message_with_its_place(
    parse: Parse, write: Write, content: str | bytes, parts: list[str]
) -> None:
    refusal = parse("fit", PRESET, write(content)).refusal
    assert all(part in refusal for part in parts), refusal


@pytest.mark.parametrize(
    "content",
    ["﻿seed_everything: 5\n", "seed_everything: 5\r\nthreads: 2\r\n", "# käse\nseed_everything: 5\n"],
    ids=["byte order mark", "Windows line ends", "umlaut"],
)
def test_a_file_from_any_editor_is_read(parse: Parse, write: Write, content: str) -> None:
    assert parse("fit", PRESET, write(content)).config.seed_everything == 5


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        (str(CONFIGS), ["it is a folder", "Name a file in it"]),
        ("nowhere.yaml", ["there is no such file"]),
        ("", ["it names no file"]),
        (str(CONFIGS.parent / "README.md"), ["README.md"]),
    ],
)
def test_what_is_not_a_configuration_file_is_refused(parse: Parse, path: str, parts: list[str]) -> None:
    refusal = parse("fit", f"--config={path}").refusal
    assert all(part in refusal for part in ["config = ", *parts]), refusal


def test_a_file_for_after_the_subcommand_is_refused_before_it(parse: Parse) -> None:
    assert "after the subcommand: fit --config" in parse(PRESET, "fit").refusal


def test_a_configuration_before_the_subcommand_is_refused_whatever_it_holds(parse: Parse, write: Write) -> None:
    file = write("fit: {model: {init_args: {seed: 5}}}")
    assert "after the subcommand: fit --config" in parse(file, "fit", PRESET).refusal


def test_long_settings_may_be_given_in_the_place_of_a_file(parse: Parse) -> None:
    text = (CONFIGS / "quickstart.yaml").read_text()
    assert parse("fit", "--config", text).config.trainer.max_epochs == 30


def test_settings_may_be_given_instead_of_a_file(parse: Parse) -> None:
    assert parse("fit", PRESET, "--config", "{seed_everything: 3}").config.seed_everything == 3


def test_the_program_answers_a_mistake_in_a_file_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong.yaml").write_bytes(b"# k\xe4se")
    assert cli.main(["fit", f"--config={tmp_path / 'wrong.yaml'}"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: config = ")
    assert message.count("\n") == 1
