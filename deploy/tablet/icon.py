"""Draw the application's icon: ``python deploy/tablet/icon.py`` writes icon.png beside this file.

A slice, the outline of an object on tracing paper over it, and the stroke that it came from. iOS wants no transparency.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIZE = 512
FINE = 4  # drawn so many times larger, then averaged
MIDDLE = (0.13, 0.02)  # of the object
LENGTH = 0.22  # of half the stroke
Shape = NDArray[np.bool_]


def main() -> None:
    """Draw and write it."""
    picture = draw()
    Path(__file__).with_name("icon.png").write_bytes(png(picture))


def draw() -> NDArray[np.uint8]:
    """``(512, 512, 3)`` uint8."""
    y, x = (np.mgrid[: SIZE * FINE, : SIZE * FINE] + 0.5) / (SIZE * FINE) * 2 - 1
    canvas = np.empty((*x.shape, 3))
    canvas[:] = rgb(0x14181D)
    for shrink, colour in ((0.0, 0x7C8793), (0.05, 0x2C343D), (0.12, 0x46505B)):
        paint(canvas, ellipse(x, y, (0.0, 0.0), (0.72 - shrink, 0.82 - shrink)), colour)
    paint(canvas, np.abs(x) < 0.012 + 0 * y, 0x343C46, where=np.abs(y) < 0.70)
    radius = outline(np.arctan2(y - MIDDLE[1], x - MIDDLE[0]))
    distance = np.hypot(x - MIDDLE[0], y - MIDDLE[1]) - radius
    paint(canvas, distance < 0, 0xD08A4E, 0.55)
    paint(canvas, np.abs(distance) < 0.026, 0xE59A58)
    along, across = (x - MIDDLE[0] - (y - MIDDLE[1])) / 2**0.5, (x - MIDDLE[0] + (y - MIDDLE[1])) / 2**0.5
    paint(canvas, np.abs(across - stroke(along)) < 0.045, 0xF2E6D8, where=np.abs(along) < LENGTH)
    for end in (-LENGTH, LENGTH):
        paint(canvas, ellipse(along, across, (end, float(stroke(np.array(end)))), (0.045, 0.045)), 0xF2E6D8)
    fine = canvas.reshape(SIZE, FINE, SIZE, FINE, 3).mean(axis=(1, 3))
    return np.rint(fine).astype(np.uint8)


def outline(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Radius of the object in each direction."""
    return 0.34 + 0.07 * np.cos(2 * angle + 1.4) + 0.02 * np.sin(3 * angle)


def stroke(along: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the pen's line lies from the diagonal."""
    return 0.05 * np.sin(9 * along)


def ellipse(
    x: NDArray[np.float64], y: NDArray[np.float64], middle: tuple[float, float], half: tuple[float, float]
) -> Shape:
    """Inside of an upright ellipse."""
    inside: Shape = ((x - middle[0]) / half[0]) ** 2 + ((y - middle[1]) / half[1]) ** 2 < 1
    return inside


def paint(canvas: NDArray[np.float64], shape: Shape, colour: int, opacity: float = 1.0, where: Shape | None = None) -> None:
    """Lay a colour over a shape."""
    chosen = shape if where is None else shape & where
    canvas[chosen] += (rgb(colour) - canvas[chosen]) * opacity


def rgb(colour: int) -> NDArray[np.float64]:
    """``0xRRGGBB`` as three numbers."""
    return np.array([colour >> 16 & 255, colour >> 8 & 255, colour & 255], float)


def png(picture: NDArray[np.uint8]) -> bytes:
    """A PNG file."""
    rows, columns, _ = picture.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), picture.reshape(rows, -1)], axis=1)
    head = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b"")]
    framed = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


if __name__ == "__main__":
    main()
