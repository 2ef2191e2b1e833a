"""Mistakes on the command line are reported with the full key and what is allowed."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from envs import PointRobot
from lit_metarl import cli
from tests.lit_metarl.command_line.conftest import PRESET, Parsed

Parse = Callable[..., Parsed]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--threads", "0"], ["threads = '0'", "a whole number of at least 1, or null"]),
        (["--threads=-1"], ["threads = '-1'", "a whole number of at least 1, or null"]),
        (["--seed_everything=1.5"], ["seed_everything = '1.5'", "a whole number"]),
        (["--figures.videos=maybe"], ["figures.videos = 'maybe'", "true or false"]),
        (["--model.layers", "8"], ["model.layers = '8'", "a list of whole numbers"]),
        (["--model.init_args.layers", "8"], ["model.init_args.layers = '8'", "a list of whole numbers"]),
        (["--model.layer", "[8]"], ["'model.layer'", "'layers'"]),
        (["--model.learning_rate", "-1e-3"], ["--model", "joined to its key"]),
        (["--model.cvar_share=0.05"], ["'model.cvar_share'", "MAML, RL2 and VariBAD have it"]),
        (["--data.task_sampler.alpha=0.1"], ["'data.task_sampler.alpha'", "CEMTaskSampler has it"]),
        (["--model.elbo.kl_weight=1"], ["'model.elbo.kl_weight'", "VariBAD has it"]),
        (["--tasks=[[0.5]]"], ["tasks = '[[0.5]]'", "'predict' takes it"]),
        (["--model"], ["--model", "without a value"]),
        (["--model", ""], ["model = ''", "no class is known"]),
        (["--data.env.height", "5"], ["'data.env.height'"]),
        (["--data.relabeler.probability=0.5"], ["'data.relabeler.probability'"]),
        (["--trainer.callbacks.monitor=val/return"], ["'trainer.callbacks.monitor'"]),
        (["--trainer.callbacks+=EarlyStopping"], ["monitor must be given", "init_args"]),
        (["--trainer.callbacks+=EarlyStoping"], ["trainer.callbacks = 'EarlyStoping'", "EarlyStopping"]),
        (["--trainer.logger.init_args.nme=3"], ["'trainer.logger.init_args.nme'", "'name'"]),
        (["--data.collection", "3"], ["data.collection = '3'", "it has keys of its own"]),
        (["--checkpoint=3"], ["checkpoint = '3'", "--checkpoint.KEY"]),
        (["--trainer.max_epochs", "2", "3"], ["unrecognized arguments: 3"]),
        (["--learning_rate=3"], ["known as model.init_args.learning_rate."]),
        (["--decay=3"], ["unknown key 'decay'. See --help"]),
        (["--weight_decay=3"], ["known as model.init_args.optimizer.weight_decay."]),
        (["--seed=3"], ["unknown key 'seed'", "'seed_everything'"]),
        (["extra"], ["extra", "given by --config"]),
        (["--config"], ["--config", "without a value"]),
        (["--data.reward_model=RewardModel", "--data.reward_model.layers=x"], ["data.reward_model.layers = 'x'"]),
    ],
)
def test_a_mistake_on_the_command_line_is_reported_in_one_message(
    parse: Parse, arguments: list[str], parts: list[str]
) -> None:
    refusal = parse("fit", PRESET, *arguments).refusal
    assert all(part in refusal for part in parts), refusal


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["train", PRESET], ["fit, validate, test or predict", "'train' is none"]),
        ([], ["fit, validate, test or predict", "none was given"]),
        (["fit"], ["required", "--config configs/quickstart.yaml"]),
        (["test", PRESET, "--ckpt_path=nowhere.ckpt"], ["ckpt_path = 'nowhere.ckpt'", "there is no such file"]),
        (["test", PRESET, "--ckpt_path=configs"], ["ckpt_path = 'configs'", "it is a folder"]),
        (["test", PRESET, "--ckpt_path=README.md"], ["ckpt_path = 'README.md'", "cannot be read as a checkpoint"]),
        (["test", PRESET, "--ckpt_path=last"], ["ckpt_path = 'last'", "there is no such file"]),
        (
            ["predict", PRESET, "--tasks=[0.5]"],
            ["tasks = '[0.5]'", "lists of numbers, such as [[0.5], [1.5]], or null"],
        ),
    ],
)
def test_an_invalid_command_is_refused(parse: Parse, arguments: list[str], parts: list[str]) -> None:
    refusal = parse(*arguments).refusal
    assert all(part in refusal for part in parts), refusal


def test_what_looks_like_an_impossible_date_is_text(parse: Parse) -> None:
    parsed = parse("fit", PRESET, "--name=2025-31-12")
    assert parsed.refusal == ""
    assert parsed.config.name == "2025-31-12"


def test_a_class_without_an_import_path_is_not_among_those_an_answer_looks_through(parse: Parse) -> None:
    made = type("MadeInAFunction", (PointRobot,), {})
    assert not hasattr(sys.modules[made.__module__], "MadeInAFunction")
    assert "'data.env.height'" in parse("fit", PRESET, "--data.env.height=5").refusal


@pytest.mark.parametrize("arguments", [["train"], ["fit", PRESET, "--threads=0"], ["fit", PRESET, "--model.layer=[8]"]])
def test_the_program_answers_with_one_line_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
