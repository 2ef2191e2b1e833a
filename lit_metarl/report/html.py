"""Pieces of the page, everything escaped, pictures inside it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from lit_metarl.report.page_style import CSS


def page(title: str, body: Sequence[str]) -> str:
    """A whole page that needs no other file."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            '<link rel="icon" href="data:,">',  # else a browser asks a server for one
            f"<style>{CSS}</style>",
            "</head>",
            "<body>",
            *body,
            "</body>",
            "</html>",
            "",
        ]
    )


def heading(level: int, text: str, anchor: str = "") -> str:
    """A heading, with the anchor that the contents point to."""
    where = f' id="{escape(anchor)}"' if anchor else ""
    return f"<h{level}{where}>{escape(text)}</h{level}>"


def paragraph(text: str, small: bool = False) -> str:
    """A paragraph."""
    return f'<p class="small">{escape(text)}</p>' if small else f"<p>{escape(text)}</p>"


def notes(sentences: Sequence[str]) -> str:
    """What a reader must not overlook; nothing without sentences."""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<ul class="notes">{items}</ul>' if sentences else ""


def contents(entries: Sequence[tuple[str, str]]) -> str:
    """Links to anchors of the page."""
    items = "".join(f'<li><a href="#{escape(anchor)}">{escape(text)}</a></li>' for anchor, text in entries)
    return f"<nav><ul>{items}</ul></nav>"


def code(text: str) -> str:
    """A command, as it is typed."""
    return f"<pre><code>{escape(text)}</code></pre>"


def picture(svg: bytes, caption: str) -> str:
    """A figure, as an image of its own: inline SVG would share one space of ids with the others."""
    source = base64.b64encode(svg).decode("ascii")
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/svg+xml;base64,{source}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that scrolls sideways by itself where it is wider than the screen."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
