"""What the documentation needs beyond MkDocs: typeset equations, and the pages and figures of `results/`.

Equations are LaTeX in the Markdown files, which code hosts typeset too. On the site they are SVG pictures in the text,
which need no script, no network and no font of the reader's.
"""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import ziamath
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

EQUATION = re.compile(r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL)
ziamath.config.svg2 = False  # whose symbols would have the same ids in every picture

EM = 16.0  # units of a picture to an em of the text
SIZE = 17.5  # of the letters, in these units: as large as those of the text to the eye
RESULTS = ("benchmarks.md", "*/README.md", "*/report/figures/*.png", "roml/grid_navi_belief/*.png", "hfr/paths/*.png")


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
    """Every equation as a picture."""
    return EQUATION.sub(lambda equation: picture(unescape(equation["latex"]), display=equation["tag"] == "div"), html)


def picture(latex: str, *, display: bool) -> str:
    """An equation as SVG in the size and color of the text, in a line of its own (`display`) or within the text."""
    equation = ziamath.Latex(latex, size=SIZE, inline=not display, color="currentColor")
    svg = equation.svgxml()
    width, height = (float(svg.attrib.pop(side)) / EM for side in ("width", "height"))
    baseline = equation.getyofst() / EM
    svg.set("style", f"width: {width:.3f}em; height: {height:.3f}em; vertical-align: {baseline:.3f}em")
    svg.set("role", "img")
    title = ElementTree.Element("title")  # what a screen reader and the search find
    title.text = " ".join(latex.split())
    svg.insert(0, title)
    tag = "div" if display else "span"
    return f'<{tag} class="equation">{ElementTree.tostring(svg, encoding="unicode")}</{tag}>'
