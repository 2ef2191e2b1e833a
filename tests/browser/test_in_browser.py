"""What a person sees: TensorBoard on a run's logs, and the report, in headless Chromium."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_metarl import cli
from lit_metarl.callbacks import TensorBoardFigures
from lit_metarl.report.__main__ import main as report
from tests.browser.conftest import PATIENCE_MS, SCREENSHOTS
from tests.conftest import CONFIGS, TINY
from tests.lit_metarl.report.synthetic_rows import write_synthetic

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def tensorboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server on the logs of a short run."""
    folder = tmp_path_factory.mktemp("logs")
    parts = [f"--config={CONFIGS}/{part}.yaml" for part in ("point_robot", "relabel/hfr", "robust/roml")]
    changes = [
        "--data.env=tests.environments.ShortPoint",
        "--data.task_sampler.init_args.round_size=5",
        "--trainer.max_epochs=3",
        "--figures.share=1",
        "--name=null",
        f"--trainer.logger.init_args.save_dir={folder}",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TensorBoardFigures, "_budget", lambda figures, agent: 1e6)
        assert cli.main(["fit", *parts, *TINY, *changes]) == 0
    command = [sys.executable, "-m", "tensorboard.main", f"--logdir={folder}", "--port=0", "--host=127.0.0.1"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        address = next(found for line in server.stderr if (found := re.search(r"http://\S+", line)))
        yield address[0]
    finally:
        server.kill()
        server.wait()


def test_tensorboard_opens_on_held_out_tasks_adaptation_and_speed(browser: Any, tensorboard: str) -> None:
    page = browser.new_page(viewport={"width": 1500, "height": 1400})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(tensorboard)
    titles = page.locator("scalar-card .tag, image-card .tag")
    titles.nth(4).wait_for()
    page.locator("image-card img").first.wait_for()
    page.screenshot(path=SCREENSHOTS / "tensorboard.png")
    shown = [text.replace("\n", "") for text in titles.all_inner_texts()]
    overview = ["adaptation", "return", "return_cvar", "return_of_first_episode", "steps_per_second"]
    assert shown[:5] == [f"0_overview/{name}" for name in overview]
    assert page.get_by_text("pearl_short_point_hfr_roml_seed1").count() > 0
    page.close()


def test_tensorboards_custom_charts_are_all_filled_and_losses_apart(browser: Any, tensorboard: str) -> None:
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{tensorboard}#custom_scalars")
    for title in ("Held-out tasks", "Return and CVaR", "Adaptation: return by episode", "Losses"):
        page.get_by_text(title, exact=True).first.wait_for()
    page.get_by_text("critic loss", exact=True).first.wait_for(state="attached")  # its group may be folded
    matches = page.get_by_text(re.compile("Matches"))
    charts = page.locator("tf-custom-scalar-multi-line-chart-card")
    page.wait_for_timeout(10_000)  # the charts ask for their data one by one
    page.screenshot(path=SCREENSHOTS / "custom_scalars.png")
    counts = [int(re.findall(r"\d+", text)[0]) for text in matches.all_inner_texts()]
    assert len(counts) == charts.count() > 5
    assert all(counts), "a chart is empty"
    page.close()


def test_tensorboards_images_are_legible_and_its_table_names_the_parts(browser: Any, tensorboard: str) -> None:
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    page.set_default_timeout(PATIENCE_MS)
    for tag in ("cem/density", "videos/worst"):
        page.goto(f"{tensorboard}?only={tag}#images&tagFilter={tag}")
        image = page.locator("tf-image-loader img").first
        image.wait_for()
        assert image.evaluate("async image => { await image.decode(); return image.naturalWidth; }") > 200
        page.screenshot(path=SCREENSHOTS / f"{tag.replace('/', '_')}.png")
    page.goto(f"{tensorboard}?table#hparams")
    for text in ("algorithm", "environment", "relabeler", "sampler", "seed", "PEARL", "ShortPoint", "CEMTaskSampler"):
        page.get_by_text(text, exact=True).first.wait_for()
    page.screenshot(path=SCREENSHOTS / "hparams.png")
    page.close()


def test_the_report_opens_without_a_network_and_shows_what_follows_from_the_rows(browser: Any, tmp_path: Path) -> None:
    write_synthetic(tmp_path)
    assert report(["plot", str(tmp_path), "--reference=none", "--resamples=50", "--metrics=[val/return]"]) == 0
    context = browser.new_context(offline=True, viewport={"width": 1000, "height": 1400})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.goto((tmp_path / "report" / "index.html").as_uri(), timeout=PATIENCE_MS)
    page.screenshot(path=SCREENSHOTS / "report.png")
    assert page.evaluate("Array.from(document.images).every(image => image.complete && image.naturalWidth > 0)")
    tables = page.locator("h2#cheetah ~ h3", has_text=re.compile("^After training: test/return$"))
    cells = tables.first.evaluate(
        "heading => Array.from(heading.nextElementSibling.querySelectorAll('tbody tr'),"
        " row => Array.from(row.cells, cell => cell.textContent))"
    )
    assert complaints == []

    with (tmp_path / "finals.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["training"] == "after" and row["experiment"] == "cheetah"]
    for method, seeds, _, middle, _, mean, *_ in cells:
        returns = np.sort([float(row["test/return"]) for row in rows if row["method"] == method])
        assert len(returns) == int(seeds) == 5
        assert number(middle) == pytest.approx(returns[1:-1].mean(), abs=0.005)
        assert number(mean) == pytest.approx(returns.mean(), abs=0.005)
    assert {row[0] for row in cells} == {"none", "hfr"}
    context.close()


def number(text: str) -> float:
    return float(text.replace("−", "-"))
