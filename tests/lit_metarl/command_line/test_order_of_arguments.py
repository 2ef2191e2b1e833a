"""What is typed overrides files, in any order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lit_metarl import cli
from lit_metarl.command_line.given import files_first
from tests.conftest import CONFIGS
from tests.lit_metarl.command_line.conftest import PRESET, Parsed

Parse = Callable[..., Parsed]
FILE = str(CONFIGS / "point_robot.yaml")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seed_everything", "7", "--config", FILE],
        ["--seed_everything=7", f"--config={FILE}"],
        ["-c", FILE, "--seed_everything", "7"],
        ["--seed_everything", "7", "-c", FILE],
        [f"--config={FILE}", "--seed_everything=7", "--config", str(CONFIGS / "quickstart.yaml")],
        ["--seed_everything=7", f"-c{FILE}"],
    ],
)
def test_a_seed_that_is_typed_is_the_seed_of_the_run(parse: Parse, arguments: list[str]) -> None:
    assert parse("fit", *arguments).config.seed_everything == 7


def test_the_number_of_test_tasks_that_is_typed_is_used(parse: Parse) -> None:
    assert parse("test", "--data.evaluation.test_tasks", "4", PRESET).config.data.evaluation.test_tasks == 4


def test_a_value_that_is_typed_overrides_the_file_of_a_section(parse: Parse, tmp_path: Path) -> None:
    section = tmp_path / "section.yaml"
    section.write_text("test_tasks: 8\ntrials_per_task: 2")
    typed = "--data.evaluation.test_tasks=4"
    for given in ([f"--data.evaluation={section}"], ["--data.evaluation", str(section)]):
        evaluation = parse("fit", PRESET, typed, *given).config.data.evaluation
        assert (evaluation.test_tasks, evaluation.trials_per_task) == (4, 2)


def test_a_later_file_overrides_an_earlier_one(parse: Parse, write: Callable[..., str]) -> None:
    first, second = write("seed_everything: 2\nthreads: 3"), write("seed_everything: 4")
    config = parse("fit", PRESET, "--trainer.max_epochs=1", first, second).config
    assert (config.seed_everything, config.threads, config.trainer.max_epochs) == (4, 3, 1)


def test_a_callback_that_is_typed_is_added_to_those_of_a_file(parse: Parse, write: Callable[..., str]) -> None:
    file = write("trainer: {callbacks: [{class_path: Timer}]}")
    config = parse("fit", "--trainer.callbacks+=OnExceptionCheckpoint", "--trainer.callbacks.dirpath=x", PRESET, file)
    names = [callback.class_path.rpartition(".")[2] for callback in config.config.trainer.callbacks]
    assert names == ["Timer", "OnExceptionCheckpoint"]


@pytest.mark.parametrize(
    ("arguments", "ordered"),
    [
        (["fit", "--a", "1", "--config", "x", "--b"], ["fit", "--config", "x", "--a", "1", "--b"]),
        (["fit", "--a", "--config=x", "--config", "y"], ["fit", "--config=x", "--config", "y", "--a"]),
        (["fit", "--a", "-1", "--print_config", "-c=x"], ["fit", "-c=x", "--a", "-1", "--print_config"]),
        (["fit", "--a", "--config"], ["fit", "--a", "--config"]),  # without a value: the parser says so
        (["fit", "--config", "--a"], ["fit", "--config", "--a"]),
        (["fit", "--a", "--", "--config", "x"], ["fit", "--a", "--", "--config", "x"]),
        (["--help"], ["--help"]),
    ],
)
def test_files_go_first_and_each_kind_keeps_its_order(arguments: list[str], ordered: list[str]) -> None:
    assert files_first(arguments, ["fit", "test"]) == ordered


def test_a_key_that_is_typed_twice_is_named_with_the_value_that_counts(parse: Parse) -> None:
    parsed = parse("fit", PRESET, "--seed_everything=3", "--seed_everything", "4")
    assert parsed.config.seed_everything == 4
    assert "--seed_everything was given twice: 4 counts, 3 does not" in parsed.said
    assert "twice" not in parse("fit", PRESET, "--seed_everything=3", "--seed_everything", "3").said


def test_two_spellings_of_a_key_are_one_key(parse: Parse) -> None:
    said = parse("fit", PRESET, "--model.layers=[8]", "--model.init_args.layers=[9]").said
    assert "was given twice: [9] counts, [8] does not" in said


@pytest.mark.parametrize("name", ["PL_TRAINER_MAX_EPOCHS", "PL_FIT__SEED_EVERYTHING", "PL_CONFIG"])
def test_an_environment_variable_that_is_not_read_is_named(
    parse: Parse, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "3")
    assert name in parse("fit", PRESET).said


def test_the_printed_configuration_holds_what_is_typed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["fit", "--seed_everything=7", "--print_config", PRESET])
    assert ended.value.code in (None, 0)
    assert "seed_everything: 7\n" in capsys.readouterr().out
