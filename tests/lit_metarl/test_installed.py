"""The package installed from a wheel, in an environment and a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.conftest import CONFIGS, TINY

ROOT = CONFIGS.parent
SOURCES = ("lit_metarl", "datamodules", "envs", "configs")
FILES = ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment, with the requirements of this one and our wheel."""
    folder = tmp_path_factory.mktemp("installed")
    source, fresh = folder / "source", folder / "environment"
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, source)
    venv.create(fresh)
    (site,) = fresh.glob("lib/*/site-packages")
    (site / "requirements.pth").write_text(sysconfig.get_path("purelib"))  # without its editable installation of us
    pip = [sys.executable, "-m", "pip", f"--python={fresh}/bin/python", "install", "--quiet", "--no-index"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--ignore-installed", str(source)], check=True)
    shutil.rmtree(source)
    return fresh / "bin"


def run(program: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(program), *arguments], cwd=folder, env=surroundings, capture_output=True, text=True, check=False
    )


def test_the_command_trains_from_any_folder_with_presets_by_name(environment: Path, tmp_path: Path) -> None:
    presets = [f"--config={name}" for name in ("point_robot", "relabel/none", "configs/robust/uniform.yaml")]
    done = run(environment / "lit-metarl", tmp_path, "fit", *presets, *TINY)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "version_0" / "results.json").is_file()
    assert "PEARL on PointRobot" in done.stdout


def test_every_preset_is_installed(environment: Path) -> None:
    (shipped,) = environment.parent.glob("lib/*/site-packages/lit_metarl/presets")
    assert {path.relative_to(shipped) for path in shipped.rglob("*.yaml")} == {
        path.relative_to(CONFIGS) for path in CONFIGS.rglob("*.yaml")
    }


def test_a_wrong_name_is_answered_with_the_nearest_and_where_they_are(environment: Path, tmp_path: Path) -> None:
    done = run(environment / "lit-metarl", tmp_path, "fit", "--config", "point_robt")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    for part in ("config = 'point_robt'", "no such file", "lit_metarl/presets", "point_robot, env/point_robot"):
        assert part in done.stderr


def test_a_missing_package_is_named_in_one_sentence() -> None:
    hidden = "import sys; sys.modules['jsonargparse'] = None; from lit_metarl.__main__ import main; sys.exit(main())"
    finished = subprocess.run([sys.executable, "-c", hidden], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: the package jsonargparse is missing in ")
    assert len(finished.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["envs", "datamodules"])
def test_another_package_of_one_of_our_names_is_named_in_one_sentence(
    environment: Path, tmp_path: Path, name: str
) -> None:
    other = tmp_path / name / "__init__.py"
    other.parent.mkdir()
    other.write_text("raise RuntimeError('this is not lit_metarl')")
    done = run(environment / "python", tmp_path, "-m", "lit_metarl", "fit", "--config", "point_robot")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"another package '{name}' ({other})" in done.stderr
    assert "rename it" in done.stderr
    assert run(environment / "lit-metarl", tmp_path, "--help").returncode == 0  # only `python -m` looks there first
