"""`python -m lit_metarl.report FOLDER` on runs that belong to no batch, and on what is left of some."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from lit_metarl import cli
from lit_metarl.callbacks import TensorBoardFigures
from lit_metarl.configuration_hash import configuration_hash
from lit_metarl.report.__main__ import main
from lit_metarl.report.run_folders import RunName, experiment_of, find_runs, read_configuration
from tests.conftest import CONFIGS, TINY
from tests.lit_metarl.report.test_make_report import Links


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was validated and filmed."""
    runs = tmp_path_factory.mktemp("single")
    changes = ["--data.env=tests.environments.ShortPoint", "--figures.share=1", "--name=null"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TensorBoardFigures, "_budget", lambda figures, agent: 1e6)
        assert fit(runs, *changes) == 0
    return runs / "pearl_short_point_seed1" / "version_0"


@pytest.fixture
def run(trained: Path, tmp_path: Path, undrawn: None) -> Path:
    """A copy of it, as it would lie in the folder of runs; figures of reports stay empty."""
    return shutil.copytree(trained, tmp_path / "runs" / trained.parent.name / "version_0")


def fit(runs: Path, *changes: str) -> int:
    config = f"--config={CONFIGS}/point_robot.yaml"
    return cli.main(["fit", config, *TINY, f"--trainer.logger.init_args.save_dir={runs}", *changes])


def page_of(folder: Path) -> str:
    assert main([str(folder)]) == 0
    return (folder / "report" / "index.html").read_text(encoding="utf-8")


def test_a_single_run_has_a_page_with_curves_adaptation_tasks_and_films(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = page_of(trained.parent.parent)
    assert "found ShortPoint/pearl/seed_1: finished" in capsys.readouterr().out
    figures = {path.stem for path in (trained.parent.parent / "report" / "figures").glob("*.png")}
    parts = ("curve_return", "curve_cvar", "adaptation", "task_goal_x", "task_goal_y")
    assert {f"ShortPoint_{part}" for part in parts} <= figures
    text = Links(page).text
    for part in ("Circles: the untrained agent", "Untrained", "fewer than 3 seeds", "1 run of 1 method (pearl)"):
        assert part in text
    assert page.count("data:image/gif;base64,") == 3
    assert page.count("data:image/svg+xml") == len(figures)


def test_an_environment_of_many_arguments_has_a_name_that_files_may_have() -> None:
    arguments = {
        "env": "envs.from_gymnasium.examples.FetchReachGoal",
        "task_names": [f"goal_{axis}" for axis in "xyz" * 9],
    }
    names = [
        experiment_of({"class_path": "envs.FromGymnasium", "init_args": {**arguments, "task_method": method}})
        for method in ("set_goal", "set_task")
    ]
    assert all(name.startswith("FetchReachGoal(") and len(name) < 80 for name in names)
    assert names[0] != names[1]
    assert experiment_of("envs.PointRobot") == "PointRobot"


def test_runs_behind_a_link_are_found_once(run: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "runs").symlink_to(run.parent.parent)
    (tmp_path / "linked" / "runs" / "again").symlink_to(run.parent.parent)
    assert "1 run of 1 method (pearl)" in Links(page_of(tmp_path / "linked")).text


def test_what_belongs_to_the_machine_makes_no_other_environment_and_no_other_configuration(run: Path) -> None:
    assert experiment_of({"class_path": "envs.AntGoal", "init_args": {"threads": 1, "processes": 2}}) == "AntGoal"
    config = read_configuration(run)
    hashes = set()
    for threads in (None, 1, 2):
        config["data"]["env"] = {"class_path": "envs.AntGoal", "init_args": {"threads": threads, "goal_radius": 1}}
        hashes.add(configuration_hash(config))
    assert len(hashes) == 1


def test_the_folder_of_one_version_is_enough(run: Path) -> None:
    assert "1 run of 1 method (pearl)" in Links(page_of(run)).text


def test_rows_and_report_go_to_a_folder_that_was_given_and_the_page_has_the_command(run: Path, tmp_path: Path) -> None:
    command = ["all", str(run.parent), str(tmp_path / "rows"), "--reference", "pearl"]
    assert main(command) == 0
    assert (tmp_path / "rows" / "runs.csv").is_file()
    page = (tmp_path / "rows" / "report" / "index.html").read_text(encoding="utf-8")
    assert " ".join(["python -m lit_metarl.report", *command]) in Links(page).text


def changed_copy(run: Path, version: int, **changes: str) -> Path:
    """Another version of the run, with lines of its configuration changed."""
    copy = shutil.copytree(run, run.parent / f"version_{version}")
    text = (copy / "config.yaml").read_text()
    for key, value in changes.items():
        text, found = re.subn(rf"\b{key}: .*", f"{key}: {value}", text)
        assert found
    (copy / "config.yaml").write_text(text)
    return copy


def test_several_runs_are_told_apart_by_method_seed_and_configuration_and_the_newest_has_the_plain_name(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = run.parent.parent
    changed_copy(run, 1)  # the same again
    changed_copy(run, 2, meta_steps="4")
    changed_copy(run, 3, seed_everything="2")
    changed_copy(run, 4, name="wide_seed1")
    relabeled = changed_copy(run, 5) / "config.yaml"
    relabeled.write_text(relabeled.read_text().replace("relabeling.NoRelabeler", "relabeling.HFRRelabeler"))
    page_of(runs)
    found = dict(line.removeprefix("found ").split(": ") for line in capsys.readouterr().out.splitlines()[:-2])
    place = "pearl (pearl_short_point_seed1/version_"
    finished = [("pearl", 1), ("pearl", 2), (f"{place}1)", 1), ("wide", 1), ("pearl_hfr", 1)]
    assert {name for name, status in found.items() if status == "finished"} == {
        f"ShortPoint/{method}/seed_{seed}" for method, seed in finished
    }
    left_out = f"ShortPoint/{place}0)/seed_1"
    assert found[left_out] == "a finished or newer run of its configuration and seed is used"
    rows = pd.read_csv(runs / "report" / "runs.csv").set_index(["method", "seed"])
    hashes = {version: configuration_hash(read_configuration(run.parent / f"version_{version}")) for version in (1, 2)}
    assert rows.loc[("pearl", 1), "configuration"] == hashes[2]
    assert rows.loc[(f"{place}1)", 1), "configuration"] == hashes[1]
    pairs = pd.read_csv(runs / "report" / "tables" / "probability_of_improvement.csv")
    assert len(pairs) == 3
    assert pairs[["better", "worse"]].eq("pearl").any(axis=1).all()  # not of two methods with a single run each


def test_the_newest_run_is_told_by_the_time_of_its_logs_also_in_another_folder(run: Path) -> None:
    other = run.parent.parent / "a_folder_before" / "version_0"
    shutil.copytree(changed_copy(run, 1, meta_steps="4"), other)
    shutil.rmtree(run.parent / "version_1")
    for log in other.glob("*tfevents*"):
        time = log.name.split(".")[3]
        log.rename(other / log.name.replace(time, str(int(time) + 9)))
    found = find_runs(run.parent.parent)
    assert found[RunName("ShortPoint", "pearl", 1)] == [other]


@pytest.mark.parametrize("meta_steps", ["3", "4"])
def test_a_run_that_stopped_before_it_validated_is_named_beside_others(run: Path, meta_steps: str) -> None:
    stopped = changed_copy(run, 1, meta_steps=meta_steps)  # with the configuration of the other run, or its own
    (stopped / "results.json").unlink()
    for log in sorted(stopped.glob("*tfevents*"), key=lambda path: int(path.suffix[1:]))[1:]:
        log.unlink()
    text = Links(page_of(run.parent)).text
    assert "1 run could not be used and is named below" in text
    assert "Not used: ShortPoint/pearl (version_1)/seed_1 – " in text
    assert "1 run of 1 method (pearl)" in text


@pytest.mark.parametrize("form", [[], ["all"]])
def test_every_form_takes_the_options_of_plot(run: Path, form: list[str]) -> None:
    rows = run / "report"
    more = [str(rows)] if form else []
    assert main([*form, str(run), *more, "--metrics=[val/return_trial]", "--resamples=10"]) == 0
    assert {path.stem for path in (rows / "figures").glob("*curve*.png")} == {"ShortPoint_curve_return_trial"}
    text = Links((rows / "index.html").read_text(encoding="utf-8")).text
    assert f"all {run} {rows} --metrics '[val/return_trial]' --resamples 10" in text


def test_several_folders_are_refused_with_what_to_do(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run), str(run)]) == 2
    assert "Give one folder, the one above all runs, or gather rows" in capsys.readouterr().err
    assert main([str(run), "--refrence=none"]) == 2
    assert "Give one folder" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("monitor", "said"),
    [("val/return_trial", "the checkpoint with the best val/return_trial"), ("step", "the last checkpoint")],
)
def test_the_page_says_which_checkpoint_was_tested(run: Path, monitor: str, said: str) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("monitor: val/return\n", f"monitor: {monitor}\n"))
    assert f"Tested: {said}." in Links(page_of(run)).text


def test_a_run_that_was_interrupted_is_shown_as_far_as_it_went(run: Path) -> None:
    (run / "results.json").unlink()
    (run / "test_tasks.csv").unlink()
    text = Links(page_of(run.parent)).text
    assert "Not finished, so there is no test after training: ShortPoint/pearl/seed_1." in text
    assert "val/return against environment steps" in text


def test_a_run_that_was_interrupted_before_it_validated_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "results.json").unlink()
    for log in sorted(run.glob("*tfevents*"), key=lambda path: int(path.suffix[1:]))[1:]:
        log.unlink()
    assert main([str(run.parent)]) == 2
    said = capsys.readouterr().err
    assert "ShortPoint/pearl/seed_1: it has not finished (no results.json), nor validated once" in said


def test_a_run_of_an_older_version_is_read(run: Path) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("name: null\nthreads", "threads"))
    for file in ("test_tasks.csv", "versions.json"):
        (run / file).unlink()
    text = Links(page_of(run.parent)).text
    assert "1 run of 1 method (pearl)" in text
    assert "Return against the task" not in text


def test_a_run_without_validation_has_its_results_and_says_so(tmp_path: Path) -> None:
    assert fit(tmp_path, "--trainer.limit_val_batches=0", "--trainer.max_epochs=1") == 0
    text = Links(page_of(tmp_path)).text
    assert "Tested: the agent at the end." in text
    assert "No validation, so there is neither a curve nor a best checkpoint" in text
    assert "After training: test/return" in text


def test_a_run_that_logged_csv_has_curves(tmp_path: Path) -> None:
    assert fit(tmp_path, f"--config={CONFIGS}/logger/csv.yaml", "--trainer.max_epochs=1") == 0
    assert "val/return against environment steps" in Links(page_of(tmp_path)).text


def test_a_folder_without_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "it holds no run that began to train" in capsys.readouterr().err
