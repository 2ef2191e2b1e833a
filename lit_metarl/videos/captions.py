"""What is written under a picture of a trial."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

FONT_SIZE, LINE_HEIGHT, MARGIN = 13, 18, 6


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"  # has a minus sign, unlike Pillow's own
    return ImageFont.truetype(path, FONT_SIZE)


def with_caption(picture: NDArray[np.uint8], lines: Sequence[str]) -> NDArray[np.uint8]:
    """`picture` `[height, width, 3]` with white lines of text in a black band below, `[more, width, 3]`.

    A line that is too long is cut off with an ellipsis.
    """
    height, width = picture.shape[:2]
    canvas = Image.new("RGB", (width, height + 2 * MARGIN + LINE_HEIGHT * len(lines)))
    canvas.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        top = height + MARGIN + LINE_HEIGHT * number
        draw.text((MARGIN, top), _cut(line, width - 2 * MARGIN), font=_font(), fill="white")
    return np.asarray(canvas)


def _cut(line: str, width: int) -> str:
    if _font().getlength(line) <= width:
        return line
    while line and _font().getlength(line + "…") > width:
        line = line[:-1]
    return line + "…"
