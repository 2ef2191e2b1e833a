"""Runs of a batch as jobs."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import submitit
import yaml

from lit_metarl.batch.__main__ import main
from lit_metarl.batch.experiments import Experiment, runs_of
from lit_metarl.batch.job import RunJob
from tests.conftest import CONFIGS, TINY
from tests.lit_metarl.batch.fast_claims import renew_quickly
from tests.lit_metarl.batch.processes import batch, processes_of

SMALL = ["--model.init_args.layers=[8]", "--model.init_args.encoder_layers=[8]"]


def write_batch(folder: Path, more: dict[str, Any] | None = None, seeds: Sequence[int] = (1, 2)) -> str:
    """A batch file of two methods."""
    methods: dict[str, Any] = {"none": ["relabel/none"], "fast": {"model.init_args.reward_scale": 2}}
    one = {"configs": [str(CONFIGS / "point_robot.yaml")], "methods": methods, "seeds": list(seeds)}
    one["arguments"] = [argument for argument in TINY if "task_slots" not in argument] + SMALL
    path = folder / "batch.yaml"
    path.write_text(yaml.safe_dump({"folder": str(folder / "runs"), "experiments": {"point": one}, **(more or {})}))
    return str(path)


def test_slurm_gets_an_array_of_all_runs_with_what_the_file_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for program, script in (("sbatch", "echo Submitted batch job 12"), ("srun", "exit 0")):
        (tmp_path / program).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    resources = {"partition": "long", "account": "lab", "minutes": 90, "gpus": 2, "cpus": 4, "options": {"qos": "low"}}
    path = write_batch(tmp_path, {"resources": resources})
    assert main([f"--config={path}", "--cluster=slurm", "--jobs=3"]) == 0
    assert "Submitted as job array 12, 3 at a time" in capsys.readouterr().out
    asked = next((tmp_path / "runs" / "jobs").glob("*.sh")).read_text()
    for option in ("partition=long", "account=lab", "time=90", "gpus-per-node=2", "cpus-per-task=4", "qos=low"):
        assert f"#SBATCH --{option}\n" in asked
    assert "#SBATCH --array=0-3%3\n" in asked
    assert "#SBATCH --signal=USR2@120\n" in asked


@pytest.mark.parametrize(
    ("more", "arguments", "parts"),
    [
        ({}, ["--cluster=slurm"], ["cluster = 'slurm'", "no sbatch", "--cluster local"]),
        ({"resources": {"minutes": 0}}, [], ["resources.minutes", "at least 1"]),
        ({"resources": {"gpus": -1}}, [], ["resources.gpus", "0 or more"]),
        ({"resources": {"minutes": 1}}, [], ["resources.seconds_to_save", "less than"]),
        ({"folder": "/proc/nowhere"}, [], ["folder = '/proc/nowhere'", "that you may write to"]),
    ],
)
def test_what_no_cluster_can_do_is_refused_in_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict[str, Any], arguments: list[str], parts: list[str]
) -> None:
    assert main([f"--config={write_batch(tmp_path, more)}", *arguments]) == 2
    message = capsys.readouterr().err
    assert all(part in message for part in parts), message
    assert message.count("\n") == 1


def test_a_cluster_without_submitit_is_refused_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "submitit"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert main([f"--config={write_batch(tmp_path)}", "--cluster=slurm"]) == 2
    assert "submitit is not installed" in capsys.readouterr().err


IN_PLACE_OF_TRAINING = """
import os, sys, time, types
from pathlib import Path

class Check:
    def __call__(self, arguments):
        return None

def main(arguments):
    given = dict(argument.split("=", 1) for argument in arguments[1:])
    run = Path(given["--trainer.logger.init_args.save_dir"], given["--trainer.logger.init_args.name"])
    version = run / f"version_{len(list(run.glob('version_*')))}"
    version.mkdir()
    time.sleep(1)
    (version / "results.json").write_text("{}")
    return 0

cli = types.ModuleType("lit_metarl.cli")
cli.Check, cli.main = Check, main
sys.modules["lit_metarl.cli"] = cli
"""


def test_of_two_submitters_one_is_killed_and_every_run_is_made_once_and_none_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renew_quickly(tmp_path, monkeypatch)
    with (tmp_path / "sitecustomize.py").open("a") as file:
        file.write(IN_PLACE_OF_TRAINING)
    path, runs = write_batch(tmp_path, seeds=[1]), tmp_path / "runs" / "point"
    said = tmp_path / "said"
    victim = batch(path, said, "--cluster=local")
    while not list(runs.glob("*/seed_*/version_0")):
        assert victim.poll() is None
        time.sleep(0.01)
    for process in [victim.pid, *processes_of(tmp_path / "runs")]:  # as when its machine fails
        os.kill(process, signal.SIGKILL)
    begun = list(runs.glob("*/seed_*/version_0"))
    assert not list(runs.glob("*/seed_*/version_0/results.json"))
    assert batch(path, said, "--cluster=local").wait(200) == 0, said.read_text()
    made = {folder: sorted(path.name for path in folder.glob("version_*")) for folder in runs.glob("*/seed_*")}
    again = {folder: ["version_0", "version_1"] for folder in {path.parent for path in begun}}
    assert made == {**{folder: ["version_0"] for folder in made}, **again}
    assert len(made) == len(list(runs.glob("*/seed_*/version_*/results.json"))) == 2


def test_a_job_whose_time_is_up_saves_and_goes_on_from_there_when_it_is_requeued(tmp_path: Path) -> None:
    arguments = [*TINY, *SMALL, "--trainer.max_epochs=12", "--trainer.check_val_every_n_epoch=12"]
    (run,) = runs_of(tmp_path, {"point": Experiment([str(CONFIGS / "point_robot.yaml")], {"hfr": []}, [1], arguments)})
    executor = submitit.AutoExecutor(tmp_path / "jobs", cluster="local")
    executor.update_parameters(timeout_min=60)
    job = executor.submit(RunJob(), run)
    while not list(run.folder.glob("version_0/checkpoints/last.ckpt")):
        assert not job.done()
        time.sleep(0.05)
    (task,) = Path(f"/proc/{job.job_id}/task/{job.job_id}/children").read_text().split()
    os.kill(int(task), signal.SIGUSR2)
    assert job.result() == 0
    said = (run.folder / "run.log").read_text()
    assert "Stopped by SIGTERM; everything is saved" in said
    assert "Resuming from" in said
