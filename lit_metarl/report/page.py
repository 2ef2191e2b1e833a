"""The HTML page: what the template `page.html.jinja` is filled with."""

from __future__ import annotations

import base64
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined

from lit_metarl import __version__
from lit_metarl.report.analysis import ACROSS, Across, Analysis
from lit_metarl.report.notes import notes_on
from lit_metarl.report.rows import Experiment
from lit_metarl.report.statistics import MINIMUM_SEEDS

PACKAGES = ("numpy", "scipy", "pandas", "matplotlib", "tensorboard")
SHOWN_FINALS = ("test/return", "test/cvar", "test/success")  # the others are in the tables
MINUS = "\N{MINUS SIGN}"
TOO_FEW = f"fewer than {MINIMUM_SEEDS} seeds"

Pictures = Iterable[tuple[bytes, str]]
"""SVGs or GIFs, and their captions."""


def rounded(value: float) -> str:
    """Four significant digits, never scientific below a million: 0.1235, −72.21, −310.2, 12,346; ∞ is "never"."""
    if not math.isfinite(value):
        return "never" if value == math.inf else "not finite"
    digits = 3 - math.floor(math.log10(abs(value))) if value else 1
    return f"{value:,.{min(max(digits, 0), 4)}f}".replace("-", MINUS)


def steps(value: float) -> str:
    """Environment steps, with a comma between thousands."""
    return f"{value:,.0f}" if math.isfinite(value) else rounded(value)


def interval(row: Mapping[str, float]) -> str:
    """The interval of a row, or why it has none."""
    return TOO_FEW if math.isnan(row["low"]) else f"[{rounded(row['low'])}, {rounded(row['high'])}]"


def page(
    title: str,
    command: str,
    experiments: Sequence[Experiment],
    analysis: Analysis,
    across: Across | None,
    pictures: Mapping[str, Pictures],
    films: Mapping[str, Pictures],
) -> str:
    """The page.

    Args:
        title: at the top.
        command: that draws it again.
        experiments: all of them; those without pictures could not be compared.
        analysis: the tables.
        across: of what the rows about all experiments together are made.
        pictures: figures by experiment, or by `ACROSS`.
        films: by experiment.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"rounded": rounded, "steps": steps, "interval": interval}
    template = environment.from_string(files("lit_metarl.report").joinpath("page.html.jinja").read_text("utf-8"))
    runs = pd.concat([experiment.runs for experiment in experiments])
    return template.render(
        title=title,
        command=command,
        runs=len(runs),
        methods=sorted(runs["method"].unique()),
        seeds=sorted(runs["seed"].unique()),
        unused=sum(len(experiment.unused) for experiment in experiments),
        experiments=[
            {
                "name": experiment.name,
                "environments": experiment.environments,
                "seeds": experiment.seeds,
                "notes": notes_on(experiment, analysis.metrics, analysis.reference),
                "finals": _finals(experiment, analysis),
                "figures": _embedded(pictures.get(experiment.name, [])),
                "films": _embedded(films.get(experiment.name, [])),
                "to_reference": _rows(analysis, "steps_to_reference", experiment.name),
                "averages": _averages(experiment, analysis),
                "improvement": _rows(analysis, "probability_of_improvement", experiment.name),
            }
            for experiment in experiments
        ],
        across=across
        and {
            "experiments": across.experiments,
            "left_out": across.left_out,
            "off_scale": sorted(set(across.experiments) - set(across.on_scale)),
            "normalized": _rows(analysis, "final", ACROSS),
            "improvement": _rows(analysis, "probability_of_improvement", ACROSS),
            "figures": _embedded(pictures.get(ACROSS, [])),
        },
        reference=analysis.reference,
        bootstrap=analysis.bootstrap,
        minimum_seeds=MINIMUM_SEEDS,
        python=platform.python_version(),
        versions=[f"lit_metarl {__version__}", *(f"{name} {version(name)}" for name in PACKAGES)],
        lightning=sorted(set(runs["lightning"]) - {""}),
    )


def _finals(experiment: Experiment, analysis: Analysis) -> dict[str, list[dict[Any, Any]]]:
    """By metric that is shown, the rows of the table after training, each with the untrained agent's mean."""
    before = experiment.finals[experiment.finals["training"] == "before"].groupby(["metric", "method"])["value"].mean()
    rows = [
        {**row, "untrained": before.get((row["metric"], row["method"]), math.nan)}
        for row in _rows(analysis, "final", experiment.name)
    ]
    shown = {metric: [row for row in rows if row["metric"] == metric] for metric in SHOWN_FINALS}
    return {metric: own for metric, own in shown.items() if own}


def _averages(experiment: Experiment, analysis: Analysis) -> list[dict[Any, Any]]:
    """The means over training of methods that can be compared with the reference."""
    rows = _rows(analysis, "average_over_steps", experiment.name)
    return [row for row in rows if not math.isnan(row["difference"])]


def _rows(analysis: Analysis, table: str, experiment: str) -> list[dict[Any, Any]]:
    return analysis.table(table, experiment).to_dict("records")


def _embedded(pictures: Pictures) -> list[tuple[str, str]]:
    return [(base64.b64encode(svg).decode("ascii"), caption) for svg, caption in pictures]
