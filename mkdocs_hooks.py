"""What the documentation needs beyond MkDocs: equations as MathML, and the pages and figures of `results/`.

Equations are LaTeX in the Markdown files, which code hosts typeset too. As MathML they need no script and no font from
elsewhere.
"""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

EQUATION = re.compile(r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL)
RESULTS = ("benchmarks.md", "*/README.md", "*/report/figures/*.png", "roml/grid_navi_belief/*.png")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages and figures of `results/`, which lies outside `docs/`."""
    root = Path(config.config_file_path).parent
    for pattern in RESULTS:
        for path in sorted((root / "results").glob(pattern)):
            name = path.relative_to(root).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Links to `results/` as they are on the site, where it lies inside the folder of the pages."""
    return markdown.replace("](../results/", "](results/")


def on_page_content(html: str, **_: object) -> str:
    """Every equation as MathML."""
    return EQUATION.sub(lambda equation: mathml(unescape(equation["latex"]), display=equation["tag"] == "div"), html)


def mathml(latex: str, *, display: bool) -> str:
    """An equation as MathML, in a line of its own (`display`) or within the text."""
    tag = "div" if display else "span"
    return f'<{tag} class="equation">{convert(latex.strip(), display="block" if display else "inline")}</{tag}>'
