"""What is imported, and when: OpenGL libraries, MuJoCo and numba wait until something needs them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("choice", ["osmesa", "nonsense"])
def test_no_choice_of_an_opengl_library_keeps_a_run_from_importing_its_parts(choice: str) -> None:
    command = "import lit_metarl.cli, os; print(os.environ['MUJOCO_GL'])"
    environment = {**os.environ, "MUJOCO_GL": choice}
    done = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, choice), done.stderr


def test_a_navigation_environment_imports_neither_numba_nor_mujoco() -> None:
    command = (
        "import sys, torch, envs; env = envs.PointRobot(2); env.reset(); env.step(torch.zeros(2, 2)); "
        "print([name for name in ('mujoco', 'numba', 'llvmlite', 'metaworld') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
