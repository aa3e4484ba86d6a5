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

Float = NDArray[np.float32]
Level = NDArray[np.uint8]
Map = NDArray[np.int64]

FIXED = 4096
"""Units of a grey value in fixed-point images."""
ENTROPY_UNIT = 1 << 20
"""Units of ``c * log2(c)`` in `entropy`."""


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
    radius = len(half) - 1
    out = np.empty((len(rows) - 2 * radius, last - first), dtype=np.float32)
    for i in range(len(out)):
        line = out[i]
        centre = image[rows[i + radius], first:last]
        for x in range(len(line)):
            line[x] = half[0] * centre[x]
        for k in range(1, radius + 1):
            weight = half[k]
            above = image[rows[i + radius - k], first:last]
            below = image[rows[i + radius + k], first:last]
            if odd:
                for x in range(len(line)):
                    line[x] += weight * (below[x] - above[x])
            else:
                for x in range(len(line)):
                    line[x] += weight * (below[x] + above[x])
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
    seen = np.empty(len(columns), dtype=np.float32)
    for i in range(len(image)):
        for j in range(len(columns)):
            seen[j] = image[i, columns[j]]
        line = out[i]
        centre = seen[radius : radius + width]
        for x in range(width):
            line[x] = half[0] * centre[x]
        for k in range(1, radius + 1):
            weight = half[k]
            left = seen[radius - k : radius - k + width]
            right = seen[radius + k : radius + k + width]
            if odd:
                for x in range(width):
                    line[x] += weight * (right[x] - left[x])
            else:
                for x in range(width):
                    line[x] += weight * (right[x] + left[x])
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
    for i in range(height):
        entering = block[i + size - 1]
        for x in range(len(sums)):
            sums[x] += entering[x]
            squares[x] += entering[x] * entering[x]
        total, total_squares = np.int64(0), np.int64(0)
        for x in range(size - 1):
            total += sums[x]
            total_squares += squares[x]
        for x in range(width):
            total += sums[x + size - 1]
            total_squares += squares[x + size - 1]
            mean[i, x] = total / (count * FIXED)
            deviation[i, x] = np.sqrt(np.float64(count * total_squares - total * total)) / (count * FIXED)
            total -= sums[x]
            total_squares -= squares[x]
        leaving = block[i]
        for x in range(len(sums)):
            sums[x] -= leaving[x]
            squares[x] -= leaving[x] * leaving[x]
    return mean, deviation


@compiled
def entropy(image: Level, reach: Map, weights: Map, top: int, bottom: int, left: int, right: int) -> Float:
    """Entropy, in bits, of the levels under a footprint; pixels outside the image do not count.

    Args:
        image: ``(R, C)``, the whole image.
        reach: ``(2 * radius + 1,)``; row ``k`` of the footprint spans columns ``-reach[k]`` to ``reach[k]``.
        weights: ``c * log2(c)`` in units of 1 / `ENTROPY_UNIT`, for c from 0 to the footprint's pixels.
        top, bottom, left, right: the rectangle.

    Returns:
        ``(bottom - top, right - left)``.
    """
    radius = len(reach) // 2
    height, width = image.shape
    out = np.empty((bottom - top, right - left), dtype=np.float32)
    counts = np.empty(256, dtype=np.int64)
    for i in range(top, bottom):
        low, high = max(0, i - radius), min(height, i + radius + 1)
        counts[:] = 0
        inside, spread = 0, 0
        for row in range(low, high):
            span = reach[row - i + radius]
            for j in range(max(0, left - span), min(width, left + span + 1)):
                level = image[row, j]
                spread += weights[counts[level] + 1] - weights[counts[level]]
                counts[level] += 1
                inside += 1
        for j in range(left, right):
            out[i - top, j - left] = (weights[inside] - spread) / (inside * np.float64(ENTROPY_UNIT))
            for row in range(low, high):
                span = reach[row - i + radius]
                if j + span + 1 < width:
                    level = image[row, j + span + 1]
                    spread += weights[counts[level] + 1] - weights[counts[level]]
                    counts[level] += 1
                    inside += 1
                if j - span >= 0:
                    level = image[row, j - span]
                    counts[level] -= 1
                    spread -= weights[counts[level] + 1] - weights[counts[level]]
                    inside -= 1
    return out


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
