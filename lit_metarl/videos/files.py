"""Pictures into files: MP4 to keep, GIF for TensorBoard."""

from __future__ import annotations

import io
from collections.abc import Generator, Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

FRAMES_PER_SECOND = 20


class Mp4:
    """An H.264 video that pictures are added to one by one; the encoder comes with the package imageio-ffmpeg.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._encoder: Generator[None, bytes | None, None] | None = None

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Add a picture `[height, width, 3]`; all have the size of the first one."""
        if self._encoder is None:
            height, width = picture.shape[:2]
            self._encoder = imageio_ffmpeg.write_frames(
                str(self.path), (width, height), fps=FRAMES_PER_SECOND, macro_block_size=2, ffmpeg_log_level="error"
            )
            self._encoder.send(None)
        self._encoder.send(np.ascontiguousarray(picture).tobytes())

    def close(self) -> None:
        """Finish the file."""
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None


def animated_gif(pictures: Sequence[NDArray[np.uint8]]) -> bytes:
    """An endless GIF of `pictures` `[height, width, 3]`."""
    first, *others = [Image.fromarray(picture).quantize(64) for picture in pictures]
    content = io.BytesIO()
    duration = 1000 // FRAMES_PER_SECOND
    first.save(content, "GIF", save_all=True, append_images=others, duration=duration, loop=0)
    return content.getvalue()
