"""The report drawn from rows: its files, its numbers, and what a user may get wrong."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import style

from lit_metarl.report.__main__ import main
from lit_metarl.report.analysis import Analysis
from lit_metarl.report.figure_style import styles_of
from lit_metarl.report.figures import _bars, _broken, _label, figures_of
from lit_metarl.report.page import rounded, steps
from lit_metarl.report.rows import load_experiments, write_table
from lit_metarl.report.statistics import interquartile_mean
from tests.lit_metarl.report.synthetic_rows import write_synthetic

FIGURES = [
    "cheetah_curve_return",
    "cheetah_curve_cem_mean_velocity",
    "cheetah_curve_cvar",
    "cheetah_final_return",
    "cheetah_final_cvar",
    "cheetah_adaptation",
    "cheetah_probability_of_improvement",
    "cheetah_task_velocity",
    "point_curve_return",
    "point_curve_success",
    "all_normalized_return",
    "all_probability_of_improvement",
]


class Links(HTMLParser):
    """Everything that a page loads or points to, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report, drawn once."""
    folder = tmp_path_factory.mktemp("report")
    write_synthetic(folder)
    assert main(["plot", str(folder), "--reference=none", "--resamples=200"]) == 0
    return folder / "report"


def test_there_is_every_figure_as_png_and_svg(report: Path) -> None:
    files = {path.name for path in (report / "figures").iterdir()}
    assert {f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")} <= files


def test_the_page_needs_nothing_from_elsewhere(report: Path) -> None:
    text = (report / "index.html").read_text(encoding="utf-8")
    links = Links(text).links
    assert len(links) > len(FIGURES)
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not re.search(r"https?://|@import|url\(", text)
    for anchor in (link[1:] for link in links if link.startswith("#")):
        assert f'id="{anchor}"' in text


def test_the_page_says_what_a_reader_must_know(report: Path) -> None:
    text = Links((report / "index.html").read_text(encoding="utf-8")).text
    for part in (
        "15 runs of 2 methods (hfr, none) in 2 experiments, with 5 seeds (1, 2, 3, 4, 5).",
        "none lacks seed 3 (2 of 3 seeds are there).",
        "Fewer than 3 seeds, so no intervals, and differences may be chance: none.",
        "Fewer than 5 seeds, so intervals are rough and likely too narrow: hfr.",
        "--reference none --resamples 200",
        "pytorch-lightning 2.6.6",
        "numpy",
    ):
        assert part in text


def test_tables_equal_what_a_few_lines_make_of_the_rows(report: Path) -> None:
    rows = [row for row in read(report.parent / "finals.csv") if row["training"] == "after"]
    for final in read(report / "tables" / "final.csv"):
        if final["metric"] != "test/return":
            continue
        place = (final["experiment"], final["method"])
        values = np.sort([float(row["test/return"]) for row in rows if (row["experiment"], row["method"]) == place])
        middle = values[len(values) // 4 : len(values) - len(values) // 4]
        assert float(final["value"]) == pytest.approx(middle.mean())
        assert float(final["mean"]) == pytest.approx(values.mean())
        assert (final["low"] == "") == (len(values) < 3)
        assert sorted(float(value) for value in final["by_seed"].split()) == pytest.approx(list(values))
    to_reference = {
        (row["experiment"], row["method"]): row for row in read(report / "tables" / "steps_to_reference.csv")
    }
    assert float(to_reference["cheetah", "none"]["ratio"]) == 1.0
    assert 0.1 < float(to_reference["cheetah", "hfr"]["ratio"]) < 0.7
    improvement = {
        row["experiment"]: float(row["value"]) for row in read(report / "tables" / "probability_of_improvement.csv")
    }
    assert improvement["(all)"] == pytest.approx((improvement["cheetah"] + improvement["point"]) / 2)


def test_means_over_training_are_compared_with_the_reference_seed_by_seed(report: Path) -> None:
    curves = pd.read_csv(report.parent / "curves.csv")
    curves = curves[curves["experiment"] == "cheetah"]
    first, last = (
        curves.groupby(["method", "seed"])["environment_steps"].agg(["min", "max"]).agg({"min": "max", "max": "min"})
    )
    grid, means = np.linspace(first, last, 20001), {}
    for key, own in curves.groupby(["method", "seed"]):
        means[key] = np.interp(grid, own["environment_steps"], own["val/return"]).mean()
    above = np.mean([means["hfr", seed] - means["none", seed] for seed in range(1, 6)])
    rows = {
        row["method"]: row
        for row in read(report / "tables" / "average_over_steps.csv")
        if (row["experiment"], row["metric"]) == ("cheetah", "val/return")
    }
    assert float(rows["hfr"]["value"]) == pytest.approx(
        np.mean(sorted(means["hfr", s] for s in range(1, 6))[1:4]), rel=1e-3
    )
    assert float(rows["hfr"]["difference"]) == pytest.approx(above, rel=1e-3)
    assert float(rows["hfr"]["difference_low"]) > 0  # ahead in every seed
    assert rows["none"]["difference"] == ""
    assert "Mean over training" in (report / "index.html").read_text(encoding="utf-8")


def test_normalized_returns_are_0_untrained_and_1_where_the_reference_ends(report: Path) -> None:
    rows = [row for row in read(report.parent / "finals.csv") if row["training"] == "after"]
    scores = []
    for experiment in ("cheetah", "point"):
        finals = {
            method: [
                float(row["test/return"]) for row in rows if (row["experiment"], row["method"]) == (experiment, method)
            ]
            for method in ("none", "hfr")
        }
        one = interquartile_mean(np.array(finals["none"]))
        scores += [(value + 170.0) / (one + 170.0) for value in finals["hfr"]]
    (found,) = (
        float(row["value"])
        for row in read(report / "tables" / "final.csv")
        if (row["metric"], row["method"]) == ("normalized return", "hfr")
    )
    assert found == pytest.approx(float(interquartile_mean(np.array(scores))))


def test_returns_by_task_are_those_of_the_adapted_episode(report: Path) -> None:
    cheetah, _ = load_experiments(report.parent)
    tasks = cheetah.tasks[cheetah.tasks["run"] == "cheetah/none/seed_2"]
    np.testing.assert_allclose(tasks["return"], -100.0 / 1.2 - np.arange(12))
    np.testing.assert_allclose(tasks["task/velocity"], np.arange(12) / 4.0)


def test_equal_rows_give_equal_files(report: Path, tmp_path: Path) -> None:
    assert main(["plot", str(report.parent), f"--output={tmp_path}", "--reference=none", "--resamples=200"]) == 0
    first = {path.relative_to(report): path.read_bytes() for path in report.rglob("*") if path.is_file()}
    second = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert first.keys() == second.keys()
    assert not [name for name in first if first[name] != second[name]]


def test_runs_of_different_environments_are_not_compared(rows: Path, tmp_path: Path) -> None:
    text = (rows / "runs.csv").read_text(encoding="utf-8")
    (rows / "runs.csv").write_text(text.replace("cheetah,hfr,1,finished,Envcheetah()", "cheetah,hfr,1,finished,Ant()"))
    assert main(["plot", str(rows), f"--output={tmp_path}", "--resamples=20", "--metrics=[val/return]"]) == 0
    said = Links((tmp_path / "index.html").read_text(encoding="utf-8")).text
    assert (
        "Not compared, because its runs are of different environments (Ant(): cheetah/hfr/seed_1; Envcheetah()" in said
    )
    assert not list((tmp_path / "figures").glob("cheetah*"))
    assert not [row for row in read(tmp_path / "tables" / "final.csv") if row["experiment"] == "cheetah"]


@pytest.mark.parametrize("lost", ["nan", "inf", "-inf"])
def test_a_test_figure_that_is_not_finite_is_named_and_left_out_of_what_is_estimated(
    rows: Path, tmp_path: Path, lost: str
) -> None:
    finals = read(rows / "finals.csv")
    for row in finals:
        if (row["experiment"], row["method"], row["seed"]) == ("cheetah", "hfr", "1"):
            row["test/return"] = lost
    write_table(rows / "finals.csv", pd.DataFrame(finals))
    assert main(["plot", str(rows), f"--output={tmp_path}", "--reference=none", "--resamples=20"]) == 0
    text = Links((tmp_path / "index.html").read_text(encoding="utf-8")).text
    for training in ("before", "after"):
        assert f"cheetah/hfr/seed_1 has no finite test/return {training} training and is left out" in text
    assert "1: never" not in text
    place = {"experiment": "cheetah", "method": "hfr", "metric": "test/return"}
    [final] = [row for row in read(tmp_path / "tables" / "final.csv") if place.items() <= row.items()]
    assert final["seeds"] == "2 3 4 5"
    assert all(np.isfinite(float(final[column])) for column in ("value", "low", "high", "mean"))
    together = [row for row in read(tmp_path / "tables" / "final.csv") if row["experiment"] == "(all)"]
    assert {row["method"] for row in together if np.isfinite(float(row["value"]))} == {"hfr", "none"}
    after = {
        method: [
            float(row["test/return"])
            for row in finals
            if (row["experiment"], row["method"], row["training"]) == ("cheetah", method, "after")
            and row["test/return"] != lost
        ]
        for method in ("hfr", "none")
    }
    pairs = [x > y for x in after["hfr"] for y in after["none"]]
    improvement = {row["experiment"]: row for row in read(tmp_path / "tables" / "probability_of_improvement.csv")}
    assert float(improvement["cheetah"]["value"]) == pytest.approx(np.mean(pairs))


def test_a_method_without_any_finite_return_is_drawn_without_one(rows: Path, tmp_path: Path) -> None:
    finals = read(rows / "finals.csv")
    for row in finals:
        if row["method"] == "hfr":
            row["test/return"] = row["test/return_episode_1"] = "nan"
    write_table(rows / "finals.csv", pd.DataFrame(finals))
    assert main(["plot", str(rows), f"--output={tmp_path}", "--reference=none", "--resamples=20"]) == 0
    table = read(tmp_path / "tables" / "final.csv")
    assert {row["method"] for row in table if row["metric"] == "test/return"} == {"none"}
    assert {row["method"] for row in read(tmp_path / "tables" / "adaptation.csv")} == {"none"}


def test_the_untrained_agent_stands_in_the_adaptation_figure(rows: Path, tmp_path: Path) -> None:
    assert "Dashed: the untrained agents" in plotted(rows, tmp_path / "with")
    finals = [row for row in read(rows / "finals.csv") if row["training"] == "after"]
    write_table(rows / "finals.csv", pd.DataFrame(finals))
    assert "Dashed: the untrained agents" not in plotted(rows, tmp_path / "without")


def test_a_long_name_is_broken_where_its_parts_end() -> None:
    assert _broken("rl2 (rl2_grid_navi_seed1/version_0)") == "rl2 (rl2_grid_navi_seed1/\nversion_0)"
    assert _broken("hfr > none") == "hfr > none"


def test_tasks_of_two_coordinates_have_a_map(rows: Path, tmp_path: Path) -> None:
    tasks = pd.read_csv(rows / "tasks.csv.gz", dtype=str)
    write_table(rows / "tasks.csv.gz", tasks.assign(**{"task/mass": tasks["task/velocity"]}))
    plotted(rows, tmp_path)
    assert (tmp_path / "figures" / "cheetah_task_map.png").is_file()


def plotted(rows: Path, output: Path, *options: str) -> str:
    """The text of a report on rows."""
    assert main(["plot", str(rows), f"--output={output}", "--resamples=20", *options]) == 0
    return Links((output / "index.html").read_text(encoding="utf-8")).text


def change(path: Path, column: str, value: object, **where: str) -> None:
    """Set a column of the rows that have these values."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[(table[list(where)] == pd.Series(where)).all(axis=1), column] = str(value)
    write_table(path, table)


def test_different_criteria_and_shares_of_tasks_are_named_and_the_axis_keeps_its_words(
    rows: Path, tmp_path: Path
) -> None:
    plain = plotted(rows, tmp_path)
    assert "Tested:" not in plain  # rows of older versions
    assert "CVaR is not comparable" not in plain
    change(rows / "runs.csv", "monitor", "val/return_trial")
    change(rows / "runs.csv", "monitor", "step", experiment="point", method="hfr")
    change(rows / "runs.csv", "cvar_alpha", 0.1, experiment="cheetah", method="hfr")
    different = plotted(rows, tmp_path).replace("\N{NO-BREAK SPACE}", " ")
    assert "Tested: the checkpoint with the best val/return_trial." in different  # of the cheetah
    said = "Tested: the checkpoint with the best val/return_trial (none), the last checkpoint (hfr)."
    assert different.count(said) == different.count("not chosen alike") == 3  # above the tables, below both figures
    assert "its share of tasks differs: worst 10 % of tasks (hfr), worst 5 % of tasks (none)." in different
    assert "CVaR is the mean of that return over the worst tasks" in different
    labels = {experiment.name: _label("val/cvar", experiment) for experiment in load_experiments(rows)}
    assert labels["cheetah"] == "CVaR: mean return\nof the worst tasks"
    assert labels["point"] == "CVaR: mean return\nof the worst 5\N{NO-BREAK SPACE}% of tasks"


@pytest.mark.parametrize("metric", ["test/return", "test/cvar"])
def test_the_labels_of_final_figures_fit_beside_long_names(rows: Path, metric: str) -> None:
    experiment = load_experiments(rows)[0]
    names = pd.Series(["varibad_with_a_hypernetwork_and_more", "pearl (pearl_short_point_seed1/version_2)"])
    estimates = pd.DataFrame({"method": names, "value": 1.0, "low": 0.5, "high": 1.5})
    with style.context("lit_metarl.report.figure_style"):
        figure = _bars(estimates, names, _label(metric, experiment), styles_of(list(names), None))
        figure.draw_without_rendering()
    for text in (figure.axes[0].xaxis.label, *figure.axes[0].get_yticklabels()):
        box = text.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width


def test_the_figure_and_the_table_of_improvements_have_the_same_pairs(tmp_path: Path) -> None:
    write_synthetic(tmp_path, {"cheetah": {method: [1, 2, 3] for method in ("a", "b", "c", "none")}})
    analysis = Analysis(["none", "a", "b", "c"], [], "none", 20)
    (experiment,) = load_experiments(tmp_path)
    analysis.add(experiment)
    pairs = analysis.table("probability_of_improvement", "cheetah")
    styles = styles_of(analysis.methods, "none")
    figures = {name: figure for name, figure, _ in figures_of(experiment, analysis, styles)}
    labels = [label.get_text() for label in figures["probability_of_improvement"].axes[0].get_yticklabels()]
    assert labels == list(pairs["better"] + " > " + pairs["worse"])
    assert len(labels) == 6
    assert "final_cvar" in figures


@pytest.mark.usefixtures("undrawn")
def test_few_runs_are_not_shown_as_certain(tmp_path: Path) -> None:
    write_synthetic(tmp_path, {"cheetah": {"none": [1, 2], "hfr": [1, 2]}})
    text = plotted(tmp_path, tmp_path / "report", "--reference=none")
    assert "3 of 4 pairs of runs" in text
    assert "Environment steps to the reference" not in text
    assert not (tmp_path / "report" / "tables" / "steps_to_reference.csv").exists()
    assert text.count("Hollow: too few seeds for an interval.") == 4  # final return and CVaR, adaptation, improvement
    assert "Not shaded: too few seeds for an interval." in text


def test_a_metric_with_one_value_is_left_out_with_a_sentence(rows: Path, tmp_path: Path) -> None:
    change(rows / "curves.csv", "val/cvar", 0.0, experiment="cheetah")
    change(rows / "finals.csv", "test/cvar", 0.0, experiment="cheetah")
    text = plotted(rows, tmp_path, "--reference=none")
    assert text.count("val/cvar is 0.00 in every validation of every run, so it is not plotted.") == 1
    assert text.count("test/cvar is 0.00 in every test after training of every run, so it is not plotted.") == 1
    assert text.count("After training: test/cvar") == 1  # of the other experiment
    figures = {path.stem for path in (tmp_path / "figures").glob("*cvar.png")}
    assert figures == {"point_curve_cvar", "point_final_cvar"}


def test_the_page_says_how_long_the_runs_were_and_where_nothing_was_measured(rows: Path, tmp_path: Path) -> None:
    change(rows / "curves.csv", "progress/meta_steps", 500, experiment="cheetah")
    text = plotted(rows, tmp_path)
    assert "Length, up to the last validation: 10,007–10,035 environment steps, 500 meta-steps." in text
    assert "Length, up to the last validation: 10,007–10,021 environment steps." in text
    assert "Nothing is measured between them and the first validation" in text


def test_the_reference_has_a_row_of_its_own_among_the_means_over_training(report: Path) -> None:
    text = Links((report / "index.html").read_text(encoding="utf-8")).text
    table = text.partition("Mean over training")[2].partition("Probability of improvement")[0]
    assert re.findall(r"(none|hfr)val/return", table) == ["none", "hfr"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9527, "0.95"), (2.739, "2.74"), (0.0, "0.00"), (-72.214, "−72.21"), (12345.6, "12,345.60"), (0.0023, "0.0023")],
)
def test_numbers_have_one_format(value: float, text: str) -> None:
    assert rounded(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(float("inf"), "never"), (float("-inf"), "not finite"), (float("nan"), "not finite")]
)
def test_only_plus_infinity_is_called_never(value: float, text: str) -> None:
    assert (rounded(value), steps(value)) == (text, text)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--reference=nobody"], ["reference", "nobody", "hfr, none"]),
        (["--metrics=[val/retrn]"], ["metrics", "val/retrn", "Did you mean val/return?"]),
        (["--output=/dev/null/report"], ["output", "/dev/null/report", "cannot be written"]),
        (["--resamples=0"], ["resamples", "0"]),
        (["--refrence=none"], ["--refrence"]),
    ],
)
def test_a_mistake_is_told_in_one_message(
    rows: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], parts: list[str]
) -> None:
    assert main(["plot", str(rows), *arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("file", "old", "new", "parts"),
    [
        ("runs.csv", "method,seed", "method,sead", ["runs.csv", "'seed'"]),
        ("curves.csv", "val/return,", "", ["curves.csv", "cells than the header"]),
        ("curves.csv", "cheetah,hfr,1,1007", "cheetah,hfr,1,9007", ["cheetah/hfr/seed_1", "do not ascend"]),
        ("curves.csv", "cheetah,hfr,1,", "cheetah,hfr,7,", ["curves.csv", "cheetah/hfr/seed_7"]),
        ("finals.csv", "cheetah,hfr,1,before,0,-170.0", "cheetah,hfr,1,before,0,low", ["finals.csv", "'low'"]),
        ("finals.csv", "cheetah,hfr,1,", "cheetah,hfr,one,", ["finals.csv", "'one'"]),
    ],
)
def test_rows_that_do_not_fit_together_are_refused_by_name(
    rows: Path, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str, parts: list[str]
) -> None:
    text = (rows / file).read_text(encoding="utf-8")
    assert old in text
    (rows / file).write_text(text.replace(old, new, 1))
    assert main(["plot", str(rows)]) == 2
    message = capsys.readouterr().err
    assert all(part in message for part in parts), message


@pytest.mark.parametrize("file", ["runs.csv", "curves.csv", "finals.csv"])
def test_a_missing_file_of_rows_is_named(rows: Path, capsys: pytest.CaptureFixture[str], file: str) -> None:
    (rows / file).unlink()
    assert main(["plot", str(rows)]) == 2
    assert file in capsys.readouterr().err
