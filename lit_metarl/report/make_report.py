"""The second step: rows to figures, tables and a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import pandas as pd
from matplotlib import style

from envs.errors import require
from lit_metarl.report.analysis import ACROSS, Analysis
from lit_metarl.report.event_logs import Film
from lit_metarl.report.figure_style import save_figure, styles_of
from lit_metarl.report.figures import Plotted, figures_across, figures_of
from lit_metarl.report.notes import notes_on, tested, trained
from lit_metarl.report.page import render
from lit_metarl.report.rows import Experiment, load_experiments, write_file
from lit_metarl.report.statistics import RESAMPLES

ALWAYS = ("val/return", "val/cvar")


def make_report(
    rows: Path,
    output: Path,
    reference: str | None = None,
    metrics: Sequence[str] = ALWAYS,
    resamples: int = RESAMPLES,
    command: str = "",
    films: Mapping[str, list[Film]] = {},
) -> Path:
    """Plot everything; the path of the page.

    Args:
        rows: folder of the rows.
        output: folder of figures, tables and page.
        reference: the method that others are measured against, if any.
        metrics: validation metrics to plot curves of.
        resamples: behind every interval.
        command: that plots it again; shown on the page.
        films: by experiment.

    Raises:
        ConfigurationError: if the rows are wrong, the reference or a metric is in none of them, or a file cannot be
            written.
    """
    experiments = load_experiments(rows)
    methods = _methods(experiments, reference)
    _check_metrics(experiments, metrics)
    analysis, styles = Analysis(methods, metrics, reference, resamples), styles_of(methods, reference)
    figures = {}
    with style.context("lit_metarl.report.figure_style"):
        for experiment in experiments:
            if len(experiment.environments) == 1:
                analysis.add(experiment)
                figures[experiment.name] = _save(figures_of(experiment, analysis, styles), output, experiment.name)
        across = analysis.add_across()
        if across is not None:
            figures[ACROSS] = _save(figures_across(analysis, styles), output, "all")
    analysis.write(output / "tables")
    place = (rows.parent if output == rows else rows).resolve()
    about = f"{place.parent.name}/{place.name}" if place.name.startswith("version_") else place.name
    text = render(
        title=f"Report: {about}",
        command=command,
        runs=pd.concat([experiment.runs for experiment in experiments]),
        experiments=experiments,
        notes={experiment.name: notes_on(experiment, metrics, reference) for experiment in experiments},
        tested=tested,
        trained=trained,
        rows=lambda table, experiment: analysis.table(table, experiment).to_dict("records"),
        figures=figures,
        films=films,
        across=across,
        all=ACROSS,
        reference=reference,
        resamples=resamples,
    )
    write_file(output / "index.html", text.encode())
    return output / "index.html"


def _methods(experiments: Sequence[Experiment], reference: str | None) -> list[str]:
    """All methods, the reference first, the others by name."""
    names = {method for experiment in experiments for method in experiment.seeds}
    hint = f"Give one of the methods that have finished runs: {', '.join(sorted(names))}."
    require(reference is None or reference in names, "reference", reference, "the rows have no such method", hint)
    return sorted(names, key=lambda name: (name != reference, name))


def _check_metrics(experiments: Sequence[Experiment], metrics: Sequence[str]) -> None:
    known = sorted({name for experiment in experiments for name in experiment.metrics if name.startswith("val/")})
    for metric in set(metrics) - set(ALWAYS):  # whatever was not validated lacks those, and the page says so
        nearest = get_close_matches(metric, known, n=1)
        hint = f"Did you mean {nearest[0]}? " if nearest else ""
        require(metric in known, "metrics", metric, "no run has it", f"{hint}The rows have {', '.join(known)}.")


def _save(plotted: Iterable[Plotted], output: Path, prefix: str) -> list[tuple[bytes, str]]:
    """Write figures; their SVGs and captions."""
    beginning = output / "figures" / re.sub(r"[^\w.-]+", "_", prefix)
    return [(save_figure(figure, Path(f"{beginning}_{name}")), caption) for name, figure, caption in plotted]
