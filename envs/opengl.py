"""MuJoCo is imported without the OpenGL library that MUJOCO_GL names; only rendering loads that.

`import mujoco` fails where the library is missing or the name is unknown, even in a run that renders nothing. The
package imports this module first, because torchrl imports MuJoCo too, for whatever environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

VARIABLE = "MUJOCO_GL"


class _WithoutOpenGL(SourceFileLoader):
    """Hides MUJOCO_GL while a module is loaded."""

    def exec_module(self, module: ModuleType) -> None:
        chosen = os.environ.pop(VARIABLE, None)
        try:
            super().exec_module(module)
        finally:
            if chosen is not None:
                os.environ[VARIABLE] = chosen


class _MujocoFinder(MetaPathFinder):
    """Finds MuJoCo for whoever imports it first."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == "mujoco" else None
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _WithoutOpenGL(spec.loader.name, spec.loader.path)
        return spec


sys.meta_path.insert(0, _MujocoFinder())
