"""MuJoCo is imported without the OpenGL library that MUJOCO_GL names; only a picture loads that.

`import mujoco` fails where the library is missing or the name is unknown, even in a run that draws nothing.
The package imports this module first, because torchrl imports MuJoCo too, for whatever environment.
"""

from __future__ import annotations

import os

VARIABLE = "MUJOCO_GL"


def _import_mujoco() -> None:
    chosen = os.environ.pop(VARIABLE, None)
    try:
        import mujoco  # noqa: F401
    finally:
        if chosen is not None:
            os.environ[VARIABLE] = chosen


_import_mujoco()
