"""What is written under a picture of a trial."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

FONT_SIZE, SMALLEST_FONT_SIZE, LINE_HEIGHT, MARGIN = 13, 9, 18, 6
LEAST_WIDTH = 300  # pixels, which a caption needs
SPEEDS, PLACES = re.compile(r"velocity(_[xyz])?"), re.compile(r"(\w+_)?[xyz]")
"""Features that a task may ask for: mean velocities, and where something is at last."""


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"  # has a minus sign, unlike Pillow's own
    return ImageFont.truetype(path, size)


def values_of(names: Sequence[str], values: Tensor) -> str:
    """Names with their `values` `[names]`, in two decimals."""
    return "  ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in zip(names, values.tolist()))


def achieved_values(names: Sequence[str], features: Tensor, means: Tensor) -> str:
    """What an episode has achieved so far; "" in an environment whose features are neither speeds nor places.

    Args:
        names: of the features.
        features: of the last step, `[features]`.
        means: over the steps of the episode, `[features]`.
    """
    parts = []
    for place, name in enumerate(names):
        if SPEEDS.fullmatch(name):
            parts.append(values_of([f"mean_{name}"], means[place : place + 1]))
        elif PLACES.fullmatch(name):
            parts.append(values_of([name], features[place : place + 1]))
    return "  ".join(parts)


def with_caption(picture: NDArray[np.uint8], lines: Sequence[str]) -> NDArray[np.uint8]:
    """`picture` `[height, width, 3]` with white lines of text in a black band below.

    A picture that is too small for text is enlarged first, by a whole factor. A line that is too long is written
    smaller, and cut off with an ellipsis where that is not enough.
    """
    factor = -(-LEAST_WIDTH // picture.shape[1])
    picture = picture.repeat(factor, 0).repeat(factor, 1)
    height, width = picture.shape[:2]
    canvas = Image.new("RGB", (width, height + 2 * MARGIN + LINE_HEIGHT * len(lines)))
    canvas.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        top = height + MARGIN + LINE_HEIGHT * number
        text, font = _fitted(line, width - 2 * MARGIN)
        draw.text((MARGIN, top), text, font=font, fill="white")
    return np.asarray(canvas)


def _fitted(line: str, width: int) -> tuple[str, ImageFont.FreeTypeFont]:
    """A line that fits into `width` pixels, and its font."""
    for size in range(FONT_SIZE, SMALLEST_FONT_SIZE - 1, -1):
        if _font(size).getlength(line) <= width:
            return line, _font(size)
    font = _font(SMALLEST_FONT_SIZE)
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line + "…", font
