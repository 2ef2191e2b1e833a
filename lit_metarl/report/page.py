"""The HTML page: what is said about each experiment, in which order."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from lit_metarl.report import html
from lit_metarl.report.across_experiments import AcrossExperiments
from lit_metarl.report.bootstrap import MINIMUM_SEEDS, Bootstrap, Estimate
from lit_metarl.report.comparison import FINAL_RETURN, Comparison, Final
from lit_metarl.report.numbers import between, rounded, steps
from lit_metarl.report.results import Experiment
from lit_metarl.report.steps_to_reference import StepsToReference

ACROSS = "across-experiments"
PACKAGES = ("lit_metarl", "numpy", "scipy", "matplotlib", "tensorboard")
SHOWN_FINALS = ("test/return", "test/cvar", "test/success")  # the others are in the tables

Pictures = Mapping[str, tuple[bytes, str]]
"""By file name: an SVG and its caption."""


def experiment_section(
    experiment: Experiment, sentences: Sequence[str], comparison: Comparison | None, pictures: Pictures
) -> list[str]:
    """Everything about one experiment.

    Args:
        experiment: its runs.
        sentences: notes that a reader must not overlook.
        comparison: its analysis; None if it cannot be compared.
        pictures: its figures, in order.
    """
    seeds = ", ".join(f"{method} {len(runs)}" for method, runs in experiment.methods.items()) or "none"
    body = [
        html.heading(2, experiment.name, experiment.name),
        html.paragraph(f"World: {', '.join(experiment.environments) or 'unknown'}. Finished runs (seeds): {seeds}."),
        html.notes(sentences),
    ]
    if comparison is None:
        return body
    for metric in SHOWN_FINALS:
        if comparison.finals.get(metric):
            body += [html.heading(3, f"After training: {metric}"), _final_table(comparison.finals[metric])]
    body += [html.picture(svg, caption) for svg, caption in pictures.values()]
    if comparison.to_reference:
        body += _to_reference(comparison.to_reference)
    if comparison.improvement:
        body += [
            html.heading(3, f"Probability of improvement ({FINAL_RETURN})"),
            _improvement_table(comparison.improvement),
        ]
    return body


def across_section(together: AcrossExperiments, reference: str | None, pictures: Pictures) -> list[str]:
    """The figures over all experiments."""
    body = [html.heading(2, "All experiments together", ACROSS)]
    body.append(html.paragraph(f"Experiments: {', '.join(together.experiments)}; each is a stratum of the bootstrap."))
    if together.left_out:
        missing = ", ".join(together.left_out)
        body.append(html.notes([f"Left out, because not every experiment has finite returns of them: {missing}."]))
    if together.normalized:
        body.append(html.heading(3, "Normalized final return"))
        left_out = sorted(set(together.experiments) - set(together.on_scale))
        text = (
            f"0 is the untrained agent, 1 the interquartile mean of {reference}; the interquartile mean is over all "
            "seeds of all experiments."
        )
        if left_out:
            text += f" Without {', '.join(left_out)}, where {reference} did not end above the untrained agent."
        rows = [[method, rounded(one.value), between(one)] for method, one in together.normalized.items()]
        body += [html.paragraph(text, small=True), html.table(["Method", "IQM", "95 % interval"], rows)]
    body += [html.heading(3, "Probability of improvement, averaged"), _improvement_table(together.improvement)]
    return body + [html.picture(svg, caption) for svg, caption in pictures.values()]


def whole_page(
    title: str, command: str, experiments: Sequence[Experiment], sections: Sequence[str], together: bool, how: Bootstrap
) -> str:
    """The page.

    Args:
        title: at the top.
        command: that redraws it.
        experiments: all of them, for the contents and the summary.
        sections: the experiments' sections.
        together: whether there is a section over all experiments.
        how: resamples were drawn.
    """
    runs = [run for experiment in experiments for run in experiment.runs]
    unused = sum(len(experiment.unused) for experiment in experiments)
    methods = sorted({run.name.method for run in runs})
    seeds = sorted({run.name.seed for run in runs})
    summary = (
        f"{_count(len(runs), 'finished run')} of {_count(len(methods), 'method')} ({', '.join(methods)}) in "
        f"{_count(len(experiments), 'experiment')}, with {_count(len(seeds), 'seed')} "
        f"({', '.join(map(str, seeds))})."
    )
    if unused:
        summary += f" {_count(unused, 'run')} could not be used and {'is' if unused == 1 else 'are'} named below."
    entries = [(one.name, one.name) for one in experiments]
    entries += [(ACROSS, "All experiments together")] if together else []
    trained_with = sorted({run.facts["lightning"] for run in runs if run.facts["lightning"]})
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return html.page(
        title,
        [
            html.heading(1, title),
            html.paragraph(summary),
            html.contents([*entries, ("how", "How to read this")]),
            *sections,
            html.heading(2, "How to read this", "how"),
            *[html.paragraph(text) for text in _explanations(how)],
            html.paragraph("Drawn by:"),
            html.code(command),
            html.paragraph(
                f"Drawn with Python {platform.python_version()}, {versions}. "
                f"Trained with pytorch-lightning {', '.join(trained_with) or 'of unknown version'}.",
                small=True,
            ),
        ],
    )


def _explanations(how: Bootstrap) -> list[str]:
    return [
        "IQM is the interquartile mean over seeds: the mean of the middle half, 25 % cut at each end in whole seeds "
        "(nothing is cut from three seeds, one at each end from four to seven). Curves of seeds that validated at "
        "different steps are interpolated linearly onto the steps of all of them, within the range that every seed "
        "covers.",
        f"Intervals hold 95 % of {how.resamples:,} bootstrap resamples of whole seeds (percentiles), within each "
        f"experiment apart; none are given for fewer than {MINIMUM_SEEDS} seeds. With few seeds such intervals are "
        "too narrow.",
        "Returns are sums of rewards of the adapted, last episode of a trial: on validation tasks for curves, on test "
        "tasks, with the best checkpoint by validation, for figures after training.",
        "The probability of improvement of X over Y is the share of pairs of runs in which X's return is higher; "
        "equal returns count half. Definitions: Agarwal et al., Deep Reinforcement Learning at the Edge of the "
        "Statistical Precipice, 2021.",
    ]


def _final_table(finals: Mapping[str, Final]) -> str:
    header = ["Method", "Seeds", "IQM", "95 % interval", "Mean", "By seed"]
    return html.table(
        header,
        [
            [
                method,
                str(len(final.seeds)),
                rounded(final.iqm.value),
                between(final.iqm),
                rounded(float(final.values.mean())),
                ", ".join(f"{seed}: {rounded(float(value))}" for seed, value in zip(final.seeds, final.values)),
            ]
            for method, final in finals.items()
        ],
    )


def _improvement_table(pairs: Mapping[tuple[str, str], Estimate]) -> str:
    rows = [[f"{x} > {y}", rounded(one.value), between(one)] for (x, y), one in pairs.items()]
    return html.table(["Pair", "Probability", "95 % interval"], rows)


def _to_reference(found: Mapping[str, StepsToReference]) -> list[str]:
    target = rounded(next(iter(found.values())).target)
    rows = [[method, steps(one.steps), rounded(one.ratio.value), between(one.ratio)] for method, one in found.items()]
    return [
        html.heading(3, "Environment steps to the reference's final return"),
        html.paragraph(
            f"The first environment step at which a method's IQM curve is at or above {target}, where the reference's "
            "ends, and that step as a share of the reference's budget; the reference itself may have been there "
            "before its end.",
            small=True,
        ),
        html.table(["Method", "Environment steps", "Share of budget", "95 % interval"], rows),
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
