"""The common form of every benchmark's answer."""

from __future__ import annotations

import json
import operator
import os
import platform
from collections.abc import Mapping

COMPARISONS = {">=": operator.ge, "<=": operator.le}
Target = tuple[str, float]


def finish(name: str, figures: Mapping[str, float], targets: Mapping[str, Target]) -> int:
    """Print the result as one JSON line; the exit status: 0 only if every target is met."""
    met = all(COMPARISONS[sign](figures[key], bound) for key, (sign, bound) in targets.items())
    result = {
        "name": name,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "figures": {key: float(f"{value:.6g}") for key, value in figures.items()},
        "targets": {key: list(target) for key, target in targets.items()},
        "met": met,
    }
    print(json.dumps(result))
    return 0 if met else 1
