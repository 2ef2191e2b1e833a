"""An environment that draws nothing needs no OpenGL library."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("choice", ["osmesa", "egl", "nonsense"])
def test_no_choice_of_an_opengl_library_keeps_a_run_from_importing_its_parts(choice: str) -> None:
    command = "import lit_metarl.cli, os; print(os.environ['MUJOCO_GL'])"
    environment = {**os.environ, "MUJOCO_GL": choice}
    done = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, choice), done.stderr
