"""The documentation in headless Chromium, served and from the disk, on a wide and on a narrow screen."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import PATIENCE_MS, SCREENSHOTS

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parent.parent.parent
PAGES = ("algorithms", "environments", "relabeling", "results", "robustness")
WIDTHS = (1440, 400)
# What sticks out of its box: a picture's letters, a line's picture unless the line scrolls, a table likewise.
CLIPPED = """() => {
    const inside = (inner, outer) => inner.left >= outer.left - 1 && inner.right <= outer.right + 1
        && inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;
    const scrolls = box => getComputedStyle(box).overflowX === "auto";
    const box = element => element.getBoundingClientRect();
    const clipped = [];
    for (const svg of document.querySelectorAll(".equation svg")) {
        if (![...svg.querySelectorAll("path, rect")].every(letter => inside(box(letter), box(svg))))
            clipped.push(`letters of ${svg.textContent}`);
        const line = svg.parentElement;
        if (line.localName === "div" && (box(svg).height > line.clientHeight + 1
                || box(svg).width > line.clientWidth + 1 && !scrolls(line)))
            clipped.push(`line of ${svg.textContent}`);
    }
    for (const table of document.querySelectorAll(".md-content table:not(.highlighttable)")) {
        const scroller = table.closest(".md-typeset__scrollwrap");
        if (!scroller || !scrolls(scroller) || box(scroller).right > innerWidth + 1) clipped.push(table.innerText);
    }
    if (document.documentElement.scrollWidth > innerWidth) clipped.push("the page");
    return clipped;
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the documentation."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--site-dir", folder], cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="module", params=["served", "disk"])
def address(site: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the pages are: on a local server, or on the disk."""
    if request.param == "disk":
        yield site.as_uri()
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Any]:
    """Opens a page in a window of a width; in the end, nothing was missing and nothing came from elsewhere."""
    complaints: list[str] = []
    contexts = []

    def opened(name: str, width: int) -> Any:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.on("request", lambda sent: complaints.extend([] if sent.url.startswith(address) else [sent.url]))
        page.goto(f"{address}/{name}.html", wait_until="load")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_no_equation_is_clipped_and_no_table_is_wider_than_its_box(open_page: Any, name: str, width: int) -> None:
    page = open_page(name, width)
    page.locator(".md-typeset__scrollwrap").first.wait_for()  # the page's script has run
    page.screenshot(path=SCREENSHOTS / f"{name}_{width}_{page.url.partition(':')[0]}.png", full_page=True)
    assert page.evaluate(CLIPPED) == []
    assert page.evaluate("Array.from(document.images).every(image => image.complete && image.naturalWidth > 0)")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_search_finds_a_page_by_what_it_says(open_page: Any, width: int) -> None:
    page = open_page("index", width)
    if width < 1000:
        page.locator("label.md-icon[for=__search]").first.click()
    page.locator(".md-search__input").click()
    page.keyboard.type("hindsight foresight")
    found = page.locator(".md-search-result__link[href*='relabeling.html']").first
    found.wait_for()
    page.screenshot(path=SCREENSHOTS / f"search_{width}_{page.url.partition(':')[0]}.png")
    found.click()
    page.wait_for_url("**/relabeling.html*")


def test_every_page_leads_to_the_previous_and_the_next(open_page: Any) -> None:
    page = open_page("relabeling", 1440)
    page.locator(".md-footer__link--next").click()
    page.wait_for_url("**/robustness.html")
    page.locator(".md-footer__link--prev").click()
    page.wait_for_url("**/relabeling.html")
