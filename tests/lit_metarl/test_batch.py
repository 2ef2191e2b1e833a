"""Batches of runs: what is finished is not run again, what was interrupted is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lit_metarl import batch
from lit_metarl.batch import Experiment, Run, runs_of
from tests.conftest import CONFIGS, TINY


@pytest.fixture
def experiments() -> dict[str, Experiment]:
    relabel = {name: [str(CONFIGS / "relabel" / f"{name}.yaml")] for name in ("none", "random")}
    small = ["--model.init_args.layers=[8]", "--model.init_args.encoder_layers=[8]"]
    return {"point": Experiment([str(CONFIGS / "point_robot.yaml")], relabel, [1, 2], [*TINY, *small])}


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
    finished, missing, interrupted = runs_of(tmp_path, experiments)[:3]
    (finished.folder / "version_0").mkdir(parents=True)
    (finished.folder / "version_0" / "results.json").write_text("{}")
    short = [argument for argument in interrupted.arguments if "max_epochs" not in argument]
    Run(interrupted.folder, [*short, "--trainer.max_epochs=1"]).execute()
    (interrupted.folder / "version_0" / "results.json").unlink()
    broken = Run(tmp_path / "broken", ["fit", "--config=there_is_no_such_file.yaml"])
    assert batch.run_batch([finished, missing, interrupted, broken], jobs=2) == [broken]
    assert missing.finished
    assert interrupted.finished
    assert "Resuming from" in (interrupted.folder / "run.log").read_text()
    assert (finished.folder / "version_0" / "results.json").read_text() == "{}"
    assert "there_is_no_such_file" in (broken.folder / "run.log").read_text()


def test_the_command_line_lists_what_is_to_be_done(
    experiments: dict[str, Experiment], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {
        "folder": str(tmp_path / "runs"),
        "experiments": {name: dict(vars(experiment)) for name, experiment in experiments.items()},
    }
    (tmp_path / "batch.yaml").write_text(yaml.safe_dump(content))
    assert batch.main([f"--config={tmp_path / 'batch.yaml'}", "--list"]) == 0
    assert capsys.readouterr().out.count("to do") == 4


def test_a_configuration_that_does_not_exist_is_named(
    experiments: dict[str, Experiment], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {
        "folder": str(tmp_path),
        "experiments": {"point": {**vars(experiments["point"]), "configs": ["nowhere.yaml"]}},
    }
    (tmp_path / "batch.yaml").write_text(yaml.safe_dump(content))
    assert batch.main([f"--config={tmp_path / 'batch.yaml'}"]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err


def test_the_committed_batches_name_files_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONFIGS.parent)
    for path in sorted(Path("results").glob("*/batch.yaml")):
        assert batch.main([f"--config={path}", "--list"]) == 0
