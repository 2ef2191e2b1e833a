"""The second step: rows to figures, tables and a page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from matplotlib.figure import Figure

from envs.errors import require
from lit_metarl.report import figures, page
from lit_metarl.report.across_experiments import AcrossExperiments, across
from lit_metarl.report.bootstrap import Bootstrap, Estimate
from lit_metarl.report.comparison import FINAL_RETURN, Comparison, compare
from lit_metarl.report.figure_style import Look, save_figure, styled
from lit_metarl.report.notes import notes_on
from lit_metarl.report.results import Experiment, load_results
from lit_metarl.report.row_files import unwritable
from lit_metarl.report.tables import write_tables

ALWAYS = ("val/return", "val/cvar")
PAGE = "index.html"


@dataclass(frozen=True)
class Drawing:
    """What to draw.

    Attributes:
        rows: folder of the rows.
        output: folder of figures, tables and page.
        reference: the method that others are measured against, if any.
        metrics: validation metrics to draw curves of.
        bootstrap: how resamples are drawn.
        command: that draws it again; stands on the page.
    """

    rows: Path
    output: Path
    reference: str | None = None
    metrics: Sequence[str] = ALWAYS
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    command: str = ""


def draw(drawing: Drawing) -> Path:
    """Draw everything; the path of the page.

    Raises:
        ConfigurationError: if the rows are wrong, the reference or a metric is in none of them, or a file cannot be
            written.
    """
    experiments = load_results(drawing.rows)
    methods = _methods(experiments, drawing.reference)
    _check_metrics(experiments, drawing.metrics)
    look = Look(methods, drawing.reference)
    comparisons: list[Comparison] = []
    sections: list[str] = []
    with styled():
        for experiment in experiments:
            comparison = None
            pictures: page.Pictures = {}
            if len(experiment.environments) == 1:
                metrics = list(dict.fromkeys((*drawing.metrics, *experiment.further_curves)))
                comparison = compare(experiment, methods, metrics, drawing.reference, drawing.bootstrap)
                comparisons.append(comparison)
                pictures = _save(_figures(comparison, look, drawing.reference), drawing.output, experiment.name)
            sections += page.experiment_section(
                experiment, notes_on(experiment, drawing.metrics, drawing.reference), comparison, pictures
            )
        together = across(comparisons, methods, drawing.reference, drawing.bootstrap)
        if together is not None:
            pictures = _save(_across_figures(together, look, drawing.reference), drawing.output, "all")
            sections += page.across_section(together, drawing.reference, pictures)
    write_tables(drawing.output / "tables", comparisons, together)
    title = f"Report: {drawing.rows.resolve().name}"
    text = page.whole_page(title, drawing.command, experiments, sections, together is not None, drawing.bootstrap)
    path = drawing.output / PAGE
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def _methods(experiments: Sequence[Experiment], reference: str | None) -> list[str]:
    """All methods, the reference first, the others by name."""
    names = {method for experiment in experiments for method in experiment.methods}
    hint = f"Give one of the methods that have finished runs: {', '.join(sorted(names))}."
    require(reference is None or reference in names, "reference", reference, "the rows have no such method", hint)
    return sorted(names, key=lambda name: (name != reference, name))


def _check_metrics(experiments: Sequence[Experiment], metrics: Sequence[str]) -> None:
    known = sorted({metric for experiment in experiments for metric in experiment.metrics})
    for metric in metrics:
        nearest = get_close_matches(metric, known, n=1)
        hint = f"Did you mean {nearest[0]}? " if nearest else ""
        require(metric in known, "metrics", metric, "no run has it", f"{hint}The rows have {', '.join(known)}.")


def _figures(comparison: Comparison, look: Look, reference: str | None) -> dict[str, tuple[Figure, str]]:
    """The figures of one experiment and their captions, by name."""
    found: dict[str, tuple[Figure, str]] = {}
    experiment = comparison.experiment
    shade = "IQM over seeds; shaded: 95 % interval."
    for metric, curves in comparison.curves.items():
        label = figures.curve_label(metric, _cvar_alpha(experiment))
        line = f" Dotted: where {reference} ends." if reference in curves else ""
        figure = figures.learning_curves(curves, label, look, reference)
        found[f"curve_{_file_name(metric)}"] = (figure, f"{metric} against environment steps. {shade}{line}")
    finals = comparison.finals.get(FINAL_RETURN)
    if finals:
        caption = f"{FINAL_RETURN} after training. Dots: seeds; mark: IQM; bar: 95 % interval."
        found["final_return"] = (figures.final_returns(finals, look), caption)
    if any(len(estimates) > 1 for estimates in comparison.adaptation.values()):
        caption = "Adaptation on test tasks after training. IQM over seeds; bars: 95 % interval."
        found["adaptation"] = (figures.adaptation(comparison.adaptation, look), caption)
    improvement = _of_interest(comparison.improvement, reference)
    if improvement:
        caption = "Probability that a run of the first method ends with more return than one of the second."
        found["probability_of_improvement"] = (figures.improvements(improvement, look), caption)
    with_tasks = {
        method: runs
        for method in look.methods
        if (runs := [run for run in experiment.methods.get(method, []) if run.tasks is not None])
    }
    coordinates = {name for runs in with_tasks.values() for run in runs if run.tasks for name in run.tasks.coordinates}
    for name in sorted(coordinates):
        caption = f"Return against the task's {name}. Dots: test tasks, IQM over seeds; line: mean of neighbors."
        found[f"task_{_file_name(name)}"] = (figures.returns_by_task(with_tasks, name, look), caption)
    return found


def _across_figures(together: AcrossExperiments, look: Look, reference: str | None) -> dict[str, tuple[Figure, str]]:
    found = {}
    if together.normalized and reference is not None:
        caption = "Normalized final return over all experiments. Mark: IQM; bar: 95 % stratified bootstrap interval."
        found["normalized_return"] = (figures.normalized_returns(together.normalized, reference, look), caption)
    improvement = _of_interest(together.improvement, reference)
    if improvement:
        caption = "Probability of improvement, mean over experiments. Bar: 95 % stratified bootstrap interval."
        found["probability_of_improvement"] = (figures.improvements(improvement, look), caption)
    return found


def _of_interest(pairs: Mapping[tuple[str, str], Estimate], reference: str | None) -> dict[tuple[str, str], Estimate]:
    """The pairs with the reference where there is one: a figure of all would grow with the square of the methods."""
    return {pair: one for pair, one in pairs.items() if reference is None or reference in pair}


def _save(drawn: dict[str, tuple[Figure, str]], output: Path, prefix: str) -> page.Pictures:
    return {
        name: (save_figure(figure, output / "figures" / f"{prefix}_{name}"), caption)
        for name, (figure, caption) in drawn.items()
    }


def _cvar_alpha(experiment: Experiment) -> float | None:
    """The share of tasks that counts as the tail, if all runs agree on it."""
    shares = {run.facts["cvar_alpha"] for run in experiment.runs}
    return float(share) if len(shares) == 1 and (share := shares.pop()) else None


def _file_name(metric: str) -> str:
    return re.sub(r"\W+", "_", metric.removeprefix("val/"))
