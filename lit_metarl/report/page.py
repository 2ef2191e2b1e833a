"""The HTML page: the template `page.html.jinja`, and how it writes numbers."""

from __future__ import annotations

import math
import platform
from base64 import b64encode
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lit_metarl import __version__
from lit_metarl.report.statistics import MINIMUM_SEEDS

PACKAGES = ("numpy", "scipy", "pandas", "matplotlib", "tensorboard")
MINUS = "\N{MINUS SIGN}"


def rounded(value: float) -> str:
    """Two decimals, four below 0.01: 0.0023, 0.12, −72.21, 12,345.60; infinity is "never"."""
    if not math.isfinite(value):
        return "never" if value == math.inf else "not finite"
    return f"{value:,.{4 if 0 < abs(value) < 0.01 else 2}f}".replace("-", MINUS)


def steps(value: float) -> str:
    """Environment steps, with a comma between thousands."""
    return f"{value:,.0f}" if math.isfinite(value) else rounded(value)


def base64(content: bytes) -> str:
    """Binary content as a data URL has it."""
    return b64encode(content).decode("ascii")


def interval(row: Mapping[str, float], of: str = "") -> str:
    """The interval of a row, or of one of its columns whose name begins with `of`; or why there is none."""
    low, high = row[f"{of}low"], row[f"{of}high"]
    return f"fewer than {MINIMUM_SEEDS} seeds" if math.isnan(low) else f"[{rounded(low)}, {rounded(high)}]"


def render(**content: Any) -> str:
    """The page, filled with what the first lines of the template list."""
    environment = Environment(
        loader=PackageLoader("lit_metarl.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"rounded": rounded, "steps": steps, "interval": interval, "base64": base64}
    environment.tests["nan"] = math.isnan
    return environment.get_template("page.html.jinja").render(
        **content,
        minimum_seeds=MINIMUM_SEEDS,
        python=platform.python_version(),
        versions=[f"lit_metarl {__version__}", *(f"{name} {version(name)}" for name in PACKAGES)],
    )
