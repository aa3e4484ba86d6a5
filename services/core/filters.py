"""The loops under `services.core.features`: filters of an image whose value at a pixel depends on nothing but its window.

Each one computes a rectangle of the image's pixels, and a pixel has the same bytes whatever rectangle it was asked in: sums
of floating-point numbers run in one order over the window, and sums that slide from pixel to pixel are of integers.

A "map" is the ``(n,)`` int64 array of image rows (or columns) that a filter sees from its first to its last one, as
`reflected` makes it: outside the image the pixels are mirrored, the edge doubled (``reflect`` of ``scipy.ndimage``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.compiled import compiled
from services.core.vectors import WIDTH, folded_even, folded_odd

Float = NDArray[np.float32]
Level = NDArray[np.uint8]
Map = NDArray[np.int64]

FIXED = 4096
"""Units of a grey value in fixed-point images."""

_APART = 16  # numbers between rows: a line of the cache


def reflected(first: int, last: int, size: int) -> Map:
    """The map from pixel ``first`` up to but without ``last`` of an axis with ``size`` pixels."""
    index: Map = np.arange(first, last, dtype=np.int64) % (2 * size)
    return np.where(index < size, index, 2 * size - 1 - index)


@compiled
def rounded(image: Float, rows: Map, columns: Map) -> Level:
    """The image under two maps, rounded to 256 levels: ``(rows, columns)`` uint8."""
    out = np.empty((len(rows), len(columns)), dtype=np.uint8)
    for i in range(len(rows)):
        line = image[rows[i]]
        for j in range(len(columns)):
            out[i, j] = np.uint8(line[columns[j]] + np.float32(0.5))
    return out


@compiled
def fixed_point(image: Float, rows: Map, columns: Map) -> NDArray[np.int64]:
    """The image under two maps, in units of 1 / `FIXED`: ``(rows, columns)`` int64."""
    out = np.empty((len(rows), len(columns)), dtype=np.int64)
    for i in range(len(rows)):
        line = image[rows[i]]
        for j in range(len(columns)):
            out[i, j] = np.int64(line[columns[j]] * np.float32(FIXED) + np.float32(0.5))
    return out


@compiled
def fold(data: Float, place: int, row: int, step: int, half: Float, odd: bool, out: Float) -> None:
    """Convolve some rows with a symmetric or antisymmetric kernel that lies across or along them.

    Args:
        data: ``(n,)``, which reaches `WIDTH` further than the rows.
        place, row: where the first row begins, and how far the next one is behind it.
        step: how far the kernel's next weight is from one.
        half, odd: as in `along_columns`.
        out: ``(rows, columns)``.
    """
    rows, columns = out.shape
    line, some = out.reshape(-1), np.empty(WIDTH, dtype=np.float32)
    whole = columns - columns % WIDTH
    for left in range(0, whole, WIDTH):
        for i in range(rows):
            if odd:
                folded_odd(data, place + i * row + left, step, half, line, i * columns + left)
            else:
                folded_even(data, place + i * row + left, step, half, line, i * columns + left)
    if whole < columns:
        for i in range(rows):
            if odd:
                folded_odd(data, place + i * row + whole, step, half, some, 0)
            else:
                folded_even(data, place + i * row + whole, step, half, some, 0)
            for x in range(columns - whole):
                line[i * columns + whole + x] = some[x]


@compiled
def along_columns(image: Float, half: Float, odd: bool, rows: Map, first: int, last: int) -> Float:
    """Convolve every column with a symmetric or antisymmetric kernel.

    Args:
        image: ``(R, C)``.
        half: ``(radius + 1,)`` weights from the centre outwards.
        odd: antisymmetric: the weights above the centre are negative.
        rows: map of the wanted rows with ``radius`` more at both ends.
        first, last: image columns to compute.

    Returns:
        ``(len(rows) - 2 * radius, last - first)``.
    """
    radius, width = len(half) - 1, last - first
    out = np.empty((len(rows) - 2 * radius, width), dtype=np.float32)
    # A step of a power of two from row to row would put a whole column into the same few places of the cache.
    step = -(-width // WIDTH) * WIDTH + _APART
    seen = np.zeros((len(rows), step), dtype=np.float32)
    for i in range(len(rows)):
        seen[i, :width] = image[rows[i], first:last]
    block = seen.reshape(-1)
    fold(block, radius * step, step, step, half, odd, out)
    return out


@compiled
def along_rows(image: Float, half: Float, odd: bool, columns: Map) -> Float:
    """Convolve every row with a symmetric or antisymmetric kernel.

    Args:
        image: ``(R, C)``.
        half, odd: as in `along_columns`.
        columns: map, into this image, of the wanted columns with ``radius`` more at both ends.

    Returns:
        ``(R, len(columns) - 2 * radius)``.
    """
    radius = len(half) - 1
    width = len(columns) - 2 * radius
    out = np.empty((len(image), width), dtype=np.float32)
    seen = np.zeros(len(columns) + WIDTH, dtype=np.float32)
    for i in range(len(image)):
        for j in range(len(columns)):
            seen[j] = image[i, columns[j]]
        fold(seen, radius, 0, 1, half, odd, out[i : i + 1])
    return out


@compiled
def extremes(block: Level, radius: int, largest: bool) -> Level:
    """Largest or smallest value of square windows.

    Args:
        block: the wanted rectangle with ``radius`` more pixels on all sides.

    Returns:
        ``(rows, columns)`` of the rectangle.
    """
    height, width = block.shape[0] - 2 * radius, block.shape[1] - 2 * radius
    out = np.empty((height, width), dtype=np.uint8)
    down = np.empty(block.shape[1], dtype=np.uint8)
    for i in range(height):
        down[:] = block[i]
        for k in range(1, 2 * radius + 1):
            line = block[i + k]
            if largest:
                for x in range(len(down)):
                    down[x] = max(down[x], line[x])
            else:
                for x in range(len(down)):
                    down[x] = min(down[x], line[x])
        best = out[i]
        best[:] = down[:width]
        for k in range(1, 2 * radius + 1):
            line = down[k : k + width]
            if largest:
                for x in range(width):
                    best[x] = max(best[x], line[x])
            else:
                for x in range(width):
                    best[x] = min(best[x], line[x])
    return out


@compiled
def moments(block: NDArray[np.int64], radius: int) -> tuple[Float, Float]:
    """Mean and population standard deviation of square windows.

    Args:
        block: the wanted rectangle with ``radius`` more pixels on all sides, as `fixed_point` gives it.

    Returns:
        Mean and standard deviation, grey values, ``(rows, columns)`` of the rectangle.
    """
    size = 2 * radius + 1
    count = size * size
    height, width = block.shape[0] - 2 * radius, block.shape[1] - 2 * radius
    mean = np.empty((height, width), dtype=np.float32)
    deviation = np.empty((height, width), dtype=np.float32)
    sums = np.zeros(block.shape[1], dtype=np.int64)
    squares = np.zeros(block.shape[1], dtype=np.int64)
    for k in range(size - 1):
        line = block[k]
        for x in range(len(sums)):
            sums[x] += line[x]
            squares[x] += line[x] * line[x]
    # Sums of all columns before one; the difference of two of them is the sum of a window.
    before, before_squares = np.zeros(len(sums) + 1, dtype=np.int64), np.zeros(len(sums) + 1, dtype=np.int64)
    for i in range(height):
        entering = block[i + size - 1]
        for x in range(len(sums)):
            sums[x] += entering[x]
            squares[x] += entering[x] * entering[x]
        total, total_squares = np.int64(0), np.int64(0)
        for x in range(len(sums)):
            total += sums[x]
            total_squares += squares[x]
            before[x + 1], before_squares[x + 1] = total, total_squares
        until, until_squares = before[size:], before_squares[size:]
        for x in range(width):
            inside, inside_squares = until[x] - before[x], until_squares[x] - before_squares[x]
            mean[i, x] = inside / (count * FIXED)
            deviation[i, x] = np.sqrt(np.float64(count * inside_squares - inside * inside)) / (count * FIXED)
        leaving = block[i]
        for x in range(len(sums)):
            sums[x] -= leaving[x]
            squares[x] -= leaving[x] * leaving[x]
    return mean, deviation


@compiled
def length(across: Float, down: Float) -> Float:
    """Length of vectors ``(across, down)``, any shape of two axes."""
    out = np.empty_like(across)
    for i in range(across.shape[0]):
        for j in range(across.shape[1]):
            out[i, j] = np.sqrt(across[i, j] * across[i, j] + down[i, j] * down[i, j])
    return out


@compiled
def even_levels(values: Float, most: float) -> Level:
    """0 … ``most`` → 0 … 255 in proportion."""
    out = np.empty(values.shape, dtype=np.uint8)
    scale = np.float32(255.0 / most)
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            level = values[i, j] * scale + np.float32(0.5)
            out[i, j] = np.uint8(min(max(level, np.float32(0.0)), np.float32(255.0)))
    return out


@compiled
def root_levels(values: Float, most: float) -> Level:
    """0 … ``most`` → 0 … 255 in proportion to the square root."""
    out = np.empty(values.shape, dtype=np.uint8)
    scale = np.float32(1.0 / most)
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            level = np.sqrt(max(values[i, j] * scale, np.float32(0.0))) * np.float32(255.0) + np.float32(0.5)
            out[i, j] = np.uint8(min(level, np.float32(255.0)))
    return out


@compiled
def signed_root_levels(values: Float, most: float) -> Level:
    """``-most`` … ``most`` → 0 … 255, in proportion to the square root on both sides of the middle."""
    out = np.empty(values.shape, dtype=np.uint8)
    scale = np.float32(1.0 / most)
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            part = values[i, j] * scale
            root = np.sqrt(np.abs(part)) * np.float32(127.5)
            level = np.float32(128.0) + (root if part >= 0 else -root)
            out[i, j] = np.uint8(min(max(level, np.float32(0.0)), np.float32(255.0)))
    return out
