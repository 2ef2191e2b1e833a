"""Batches of runs: what is finished is not run again, what was interrupted is."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lit_metarl.batch import here, one_run, runs
from lit_metarl.batch.__main__ import main
from lit_metarl.batch.experiments import Experiment, runs_of
from lit_metarl.batch.runs import Run
from tests.conftest import CONFIGS, TINY


@pytest.fixture
def experiments() -> dict[str, Experiment]:
    relabel = {name: [str(CONFIGS / "relabel" / f"{name}.yaml")] for name in ("none", "random")}
    small = ["--model.init_args.layers=[8]", "--model.init_args.encoder_layers=[8]"]
    return {"point": Experiment([str(CONFIGS / "point_robot.yaml")], relabel, [1, 2], [*TINY, *small])}


def run_as(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `script` take the place of the program that every run starts."""
    program = folder / "program.sh"
    own = f'test "$1" = -c && exec {sys.executable} "$@"'  # what libraries ask Python for
    program.write_text(f"#!/bin/sh\n{own}\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def write_batch(folder: Path, content: dict[str, Any]) -> str:
    """The argument that names a batch file with these experiments."""
    path = folder / "batch.yaml"
    path.write_text(yaml.safe_dump({"folder": str(folder / "runs"), "experiments": content}))
    return f"--config={path}"


def test_every_method_and_seed_is_a_run_in_a_folder_of_its_own(
    experiments: dict[str, Experiment], tmp_path: Path
) -> None:
    runs = runs_of(tmp_path, experiments)
    assert [str(run.folder.relative_to(tmp_path)) for run in runs] == [
        f"point/{method}/seed_{seed}" for seed in (1, 2) for method in ("none", "random")
    ]
    assert "--seed_everything=2" in runs[-1].arguments
    assert f"--config={CONFIGS / 'relabel' / 'random.yaml'}" in runs[-1].arguments


def test_a_batch_runs_what_is_missing_and_nothing_else(experiments: dict[str, Experiment], tmp_path: Path) -> None:
    finished, interrupted = runs_of(tmp_path, experiments)[:2]
    (finished.folder / "version_0").mkdir(parents=True)
    (finished.folder / "version_0" / "results.json").write_text("{}")
    short = [argument for argument in interrupted.arguments if "max_epochs" not in argument]
    Run(interrupted.folder, [*short, "--trainer.max_epochs=1"]).start().wait()
    (interrupted.folder / "version_0" / "results.json").unlink()
    broken = Run(tmp_path / "broken", ["fit", "--config=there_is_no_such_file.yaml"])
    assert here.run_batch([finished, interrupted, broken], jobs=2) == [broken]
    assert interrupted.finished
    assert "Resuming from" in (interrupted.folder / "run.log").read_text()
    assert (finished.folder / "version_0" / "results.json").read_text() == "{}"
    assert "there_is_no_such_file" in (broken.folder / "run.log").read_text()


def test_the_command_line_lists_what_is_to_be_done(
    experiments: dict[str, Experiment], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content: dict[str, Any] = {
        "folder": str(tmp_path / "runs"),
        "experiments": {name: dict(vars(experiment)) for name, experiment in experiments.items()},
    }
    (tmp_path / "batch.yaml").write_text(yaml.safe_dump(content))
    assert main([f"--config={tmp_path / 'batch.yaml'}", "--list"]) == 0
    assert capsys.readouterr().out.count("to do") == 4
    content["experiments"]["point"]["arguments"] = ["--trainer.max_epoch=3"]
    (tmp_path / "batch.yaml").write_text(yaml.safe_dump(content))
    assert main([f"--config={tmp_path / 'batch.yaml'}", "--list"]) == 2
    said = capsys.readouterr()
    assert said.out.count("to do") == 4
    assert "error: experiments.point, method none: unknown key 'trainer.max_epoch'" in said.err


def test_a_configuration_that_does_not_exist_is_named(
    experiments: dict[str, Experiment], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {
        "folder": str(tmp_path),
        "experiments": {"point": {**vars(experiments["point"]), "configs": ["nowhere.yaml"]}},
    }
    (tmp_path / "batch.yaml").write_text(yaml.safe_dump(content))
    assert main([f"--config={tmp_path / 'batch.yaml'}"]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err


def test_the_committed_batches_name_files_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONFIGS.parent)
    for path in sorted(Path("results").glob("*/batch.yaml")):
        assert main([f"--config={path}", "--list"]) == 0


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python's own SIGINT handler; a process started in a shell's background inherits an ignored SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_shows_runs_as_stopped_starts_no_further_ones_and_says_how_to_go_on(
    experiments: dict[str, Experiment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_as("sleep 0.3; kill -INT $PPID; sleep 0.3; exit 130", tmp_path, monkeypatch)
    assert main([write_batch(tmp_path, {"point": vars(experiments["point"])})]) == 130
    said = capsys.readouterr()
    folder = f"{tmp_path}/runs/point/none/seed_1"
    assert said.out.splitlines()[1:] == [f"started  {folder}", f"stopped  {folder}"]
    assert said.err.endswith("stopped by SIGINT; give the same command to continue\n")
    assert [path.name for path in (tmp_path / "runs").glob("*/*/seed_*")] == ["seed_1"]


@pytest.mark.parametrize("ending", ["exit 143", "kill -TERM $$"])
def test_a_run_that_a_signal_stopped_is_neither_failed_nor_finished(
    experiments: dict[str, Experiment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ending: str,
) -> None:
    run_as(ending, tmp_path, monkeypatch)
    assert main([write_batch(tmp_path, {"point": vars(experiments["point"])})]) == 1
    said = capsys.readouterr()
    assert said.out.count("stopped") == 4
    assert said.err == "4 of 4 runs were stopped; give the same command to continue\n"
    assert {128 + signal.SIGTERM, -signal.SIGTERM} <= runs.STOPPING


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"seeds": [1, 1]}, ["experiments.point.seeds", "[1, 1]", "List each seed once"]),
        ({"seeds": []}, ["experiments.point.seeds", "Add a seed"]),
        ({"methods": {}}, ["experiments.point.methods", "Add a method"]),
        ({"methods": {"hfr/q": []}}, ["experiments.point", "'hfr/q'", "Rename it"]),
    ],
)
def test_runs_that_would_be_none_or_clash_or_not_be_found_are_refused(
    experiments: dict[str, Experiment],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changed: dict[str, Any],
    parts: list[str],
) -> None:
    assert main([write_batch(tmp_path, {"point": {**vars(experiments["point"]), **changed}})]) == 2
    message = capsys.readouterr().err
    assert all(part in message for part in parts), message


LIST = "{trainer: {logger: [{class_path: pytorch_lightning.loggers.CSVLogger, init_args: {save_dir: runs}}]}}"


@pytest.mark.parametrize(
    ("content", "arguments", "given"),
    [
        (LIST, [], "['pytorch_lightning.loggers.CSVLogger']"),
        ("{trainer: {logger: false}}", [], "False"),
        ("{}", ["--trainer.logger+=CSVLogger"], "['CSVLogger']"),
        ("{trainer: {logger: {class_path: CSVLogger}}}", ["--trainer.logger", "true"], "True"),
    ],
)
def test_runs_that_have_not_one_logger_are_refused_for_they_would_write_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, arguments: list[str], given: str
) -> None:
    (tmp_path / "logger.yaml").write_text(content)
    methods = {"none": [str(tmp_path / "logger.yaml")]}
    one = {"configs": [], "methods": methods, "seeds": [1], "arguments": arguments}
    assert main([write_batch(tmp_path, {"point": one})]) == 2
    assert f"experiments.point: trainer.logger = {given}" in capsys.readouterr().err


def test_the_last_logger_counts_and_may_be_any(tmp_path: Path) -> None:
    (tmp_path / "several.yaml").write_text(LIST)
    configs = [str(tmp_path / "several.yaml"), str(CONFIGS / "logger" / "csv.yaml")]
    assert runs_of(tmp_path, {"point": Experiment(configs, {"none": []}, [1])})
    one = ["--trainer.logger=pytorch_lightning.loggers.CSVLogger"]
    assert runs_of(tmp_path, {"point": Experiment(configs[:1], {"none": []}, [1], one)})


def test_a_batch_without_experiments_or_with_a_slash_in_a_name_is_refused(
    experiments: dict[str, Experiment], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([write_batch(tmp_path, {})]) == 2
    assert "Add an experiment" in capsys.readouterr().err
    assert main([write_batch(tmp_path, {"point/sparse": vars(experiments["point"])})]) == 2
    assert "'point/sparse'" in capsys.readouterr().err


def test_finished_runs_that_were_made_with_other_settings_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "runs" / "point" / "none" / "seed_1" / "version_0" / "results.json"
    recorded = results.parent.parent / runs.SETTINGS  # which a run reads from its standard input
    run_as(f"mkdir -p {results.parent}; cat > {recorded}; echo '{{}}' > {results}", tmp_path, monkeypatch)
    configuration = tmp_path / "point.yaml"
    configuration.write_text("trainer:\n  max_epochs: 3\n")

    def said(arguments: list[str]) -> str:
        one = {
            "configs": [str(CONFIGS / "point_robot.yaml"), str(configuration)],
            "methods": {"none": []},
            "seeds": [1],
            "arguments": arguments,
        }
        assert main([write_batch(tmp_path, {"point": one})]) == 0
        return capsys.readouterr().err

    assert said(["--trainer.max_epochs=5"]) == ""
    configuration.write_text("# A comment makes no other run.\ntrainer:\n  max_epochs: 3\n")
    assert said(["--trainer.max_epochs=5"]) == ""
    configuration.write_text("trainer:\n  max_epochs: 4\n")
    assert said(["--trainer.max_epochs=5"]) == ""  # the argument counts, as before
    warning = f"warning: finished with other settings (trainer.max_epochs was 5 and is {{}}): {results.parent.parent}\n"
    assert warning.format(6) in said(["--trainer.max_epochs=6"])
    assert warning.format(4) in said([])
    configuration.write_text("data: {relabeler: {class_path: RandomRelabeler}}\n")
    changed = "data.relabeler.class_path was 'datamodules.relabeling.NoRelabeler' and is 'RandomRelabeler'"
    assert changed in said(["--trainer.max_epochs=5"])
    kept = results.parent.parent / runs.SETTINGS
    assert json.loads(kept.read_text())["arguments"] == ["--trainer.max_epochs=5"]
    kept.unlink()  # as of a run that was made before settings were kept
    assert said(["--trainer.max_epochs=6"]) == ""


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"arguments": ["--trainer.max_epoch=3"]}, ["method none", "'trainer.max_epoch'", "'trainer.max_epochs'"]),
        ({"arguments": ["--threads=0"]}, ["method none", "threads = '0'", "a whole number of at least 1"]),
        ({"methods": {"own": ["own.yaml"]}}, ["method own", "model.layers (in", "line 1", "model.init_args"]),
        (
            {"methods": {"own": {"model.layer": 1}}},
            ["method own", "model.layer' (among the values in the batch file)"],
        ),
        ({"configs": []}, ["method none", "model = ''", "it has arguments and no class", "by --model"]),
    ],
)
def test_a_mistake_in_any_configuration_is_told_before_the_first_run_starts(
    experiments: dict[str, Experiment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changed: dict[str, Any],
    parts: list[str],
) -> None:
    run_as("exit 0", tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text("model: {class_path: lit_metarl.algorithms.PEARL, layers: [8]}")
    assert main([write_batch(tmp_path, {"point": {**vars(experiments["point"]), **changed}})]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert not (tmp_path / "runs").exists()
    assert all(part in said.err for part in ["error: experiments.point", *parts]), said.err


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"method": {}},
            "experiments.point = 'method' is not usable: an experiment has the keys configs, methods, seeds",
        ),
        (
            {"seeds": [1, "two"]},
            "experiments.point.seeds = [1, 'two'] is not usable: it must be a list of at least one ",
        ),
        ({"seeds": None}, "experiments.point.seeds = None is not usable: it must be a list"),
        (
            {"configs": "quickstart"},
            "experiments.point.configs = 'quickstart' is not usable: it must be a list of files",
        ),
        (
            {"methods": {"hfr": 3}},
            "experiments.point.methods.hfr = 3 is not usable: it must be a list of files, presets",
        ),
        (
            {"methods": {"hfr": ["relabel/hrf"]}},
            "experiments.point.methods.hfr = 'relabel/hrf' is not usable: there is",
        ),
        ({"methods": {0.5: []}}, "experiments.point = 0.5 is not usable: it must be the name of one folder"),
        ({"configs": [{"a.b": 1, "a": 2}]}, "experiments.point.configs = 'a.b' is not usable: a has a value"),
        ({"arguments": "--threads=1"}, "experiments.point.arguments = '--threads=1' is not usable: it must be a list"),
    ],
)
def test_a_mistake_in_the_batch_file_is_told_in_one_line_with_its_place(
    experiments: dict[str, Experiment],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changed: dict[str, Any],
    message: str,
) -> None:
    assert main([write_batch(tmp_path, {"point": {**vars(experiments["point"]), **changed}}), "--list"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"error: {message}"), said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    if "method" in changed:
        assert said.err.endswith("Nearest: methods.\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("experiment: {point: {seeds: [1]}}", "The nearest known key is 'experiments'."),
        ("experiments: {point: [1]}", "experiments.point = [1] is not usable: an experiment has the keys configs"),
        ("jobs: 0", "jobs = 0 is not usable"),
        ("jobs: two", "jobs = 'two' is not usable: it must be a whole number"),
        ("resources: {minute: 3}", "The nearest known key is 'resources.minutes'."),
        ("folder: null", "folder = None is not usable: it must be given"),
    ],
)
def test_a_mistake_outside_an_experiment_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    path = tmp_path / "batch.yaml"
    path.write_text(content if "folder" in content else f"folder: runs\n{content}\n")
    assert main([f"--config={path}"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1, said


@pytest.mark.parametrize("argument", ["--seed_everything=3", "--trainer.logger.save_dir=x", "--ckpt_path=last"])
def test_an_argument_that_a_batch_gives_itself_is_refused(
    experiments: dict[str, Experiment], tmp_path: Path, capsys: pytest.CaptureFixture[str], argument: str
) -> None:
    one = {**vars(experiments["point"]), "arguments": [argument]}
    assert main([write_batch(tmp_path, {"point": one})]) == 2
    message = capsys.readouterr().err
    assert all(part in message for part in ("experiments.point.arguments", argument, "Leave it out")), message


def test_damaged_files_of_a_finished_run_keep_no_batch_from_going_on(
    experiments: dict[str, Experiment], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "runs" / "point" / "none" / "seed_1"
    (folder / "version_0").mkdir(parents=True)
    (folder / "version_0" / "results.json").touch()
    (folder / runs.SETTINGS).touch()
    (folder / "claims").mkdir()
    (folder / "claims" / ".1.swp").touch()
    assert Run(folder, []).test_return is None
    assert main([write_batch(tmp_path, {"point": vars(experiments["point"])}), "--list"]) == 0
    assert f"finished    {folder}" in capsys.readouterr().out


def test_settings_are_recorded_by_the_process_that_makes_the_run_only(tmp_path: Path) -> None:
    (tmp_path / "version_0").mkdir()
    (tmp_path / "version_0" / "results.json").write_text("{}")
    assert one_run.main(tmp_path, ["fit"], b"other settings") == 0
    assert not (tmp_path / runs.SETTINGS).exists()


def test_a_run_whose_folder_cannot_be_made_fails_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").touch()
    impossible, finished = Run(tmp_path / "taken" / "seed_1", []), Run(tmp_path / "seed_2", [])
    (finished.folder / "version_0").mkdir(parents=True)
    (finished.folder / "version_0" / "results.json").write_text("{}")
    assert here.run_batch([impossible, finished], jobs=1) == [impossible]
    assert f"FAILED   {impossible.folder} (" in capsys.readouterr().out


def test_settings_that_cannot_be_recorded_end_a_run_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / runs.SETTINGS).mkdir()
    assert one_run.main(tmp_path, ["fit"], b"settings") == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: the file {tmp_path / runs.SETTINGS} could not be written")
    assert said.count("\n") == 1


def test_home_and_variables_in_the_name_of_a_folder_are_those_of_the_system(
    experiments: dict[str, Experiment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WHERE", "scratch")
    given = write_batch(tmp_path, {"point": vars(experiments["point"])})
    assert main([given, "--folder=~/$WHERE", "--list"]) == 0
    assert f"to do       {tmp_path}/scratch/point/none/seed_1" in capsys.readouterr().out


@pytest.mark.parametrize("key", [0.5, False])
def test_a_key_that_is_no_text_is_refused(
    experiments: dict[str, Experiment], tmp_path: Path, capsys: pytest.CaptureFixture[str], key: object
) -> None:
    one = {**vars(experiments["point"]), "methods": {"fast": {key: 1}}}
    assert main([write_batch(tmp_path, {"point": one})]) == 2
    assert "a key is text" in capsys.readouterr().err
