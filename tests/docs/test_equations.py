"""Every equation on a page is typeset, on the site and where code hosts show the Markdown files."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from latex2mathml.converter import convert

import mkdocs_hooks

DOCS = Path(__file__).parent.parent.parent / "docs"


def equations_on(page: Path) -> tuple[list[str], list[str]]:
    """The equations in lines of their own, and those within the text."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"(?ms)^ *```math\n(.*?)^ *```$", text)
    prose = re.sub(r"`[^`\n]+`", "", re.sub(r"(?ms)^ *```.*?^ *```$|^ {4,}.*?$", "", text))
    return blocks, re.findall(r"\$([^$\n]+)\$", prose)


PAGES = [page for page in sorted(DOCS.glob("*.md")) if any(equations_on(page))]


def test_the_methods_pages_have_equations() -> None:
    assert {"algorithms", "maml", "relabeling", "robustness"} <= {page.stem for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_all_commands_of_an_equation_are_known(page: Path) -> None:
    blocks, inline = equations_on(page)
    for latex in blocks + inline:
        shown = unescape(re.sub(r"<[^>]+>", "", convert(latex)))
        assert not set(shown) & set("\\&*"), latex


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_hosts_keep_the_commands_of_an_equation_within_the_text(page: Path) -> None:
    _, inline = equations_on(page)
    assert not [latex for latex in inline if re.search(r"\\[^a-zA-Z]", latex)], "Markdown drops these backslashes"


def test_an_equation_becomes_a_picture_with_its_latex_as_text() -> None:
    html = mkdocs_hooks.on_page_content('<p>If <span class="arithmatex">\\(a &lt; b_1\\)</span>, stop.</p>')
    assert re.fullmatch(r'<p>If <span class="equation"><svg .*</svg></span>, stop.</p>', html)
    assert "<title>a &lt; b_1</title>" in html
    assert "currentColor" in html
