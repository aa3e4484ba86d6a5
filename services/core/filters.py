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
from services.core.vectors import WIDTH, folded_even, folded_even_even, folded_even_odd, folded_odd

Float = NDArray[np.float32]
Level = NDArray[np.uint8]
Map = NDArray[np.int64]

FIXED = 4096
"""Units of a grey value in fixed-point images."""


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
def _aligned(rows: int, columns: int) -> Float:
    """Zeros, ``(rows, columns)``, that begin where a line of the memory does: a row of whole vectors has none in two."""
    line = 16
    room = np.zeros(rows * columns + line, dtype=np.float32)
    start = -(room.ctypes.data // 4) % line
    return room[start : start + rows * columns].reshape(rows, columns)


@compiled
def _fold(
    data: Float, place: int, row: int, step: int, halves: Float, odd: bool, out: Float, first: int, rows: int, columns: int
) -> None:
    """Convolve some rows of at most `WIDTH` neighbours with kernels that lie across or along them.

    Args:
        data: ``(n,)``, which reaches `WIDTH` further than the rows and what the kernels see of them.
        place, row: where the first row begins, and how far the next one is behind it.
        step: how far a kernel's next weight is from one.
        halves, odd: as in `along_columns`.
        out: ``(kernels, R, C)``.
        first, rows, columns: the columns of ``out`` from ``first`` on, of so many rows, are computed.
    """
    lines, some = out.reshape(len(halves), -1), np.empty((len(halves), WIDTH), dtype=np.float32)
    for i in range(rows):
        target, at = (lines, i * out.shape[2] + first) if columns == WIDTH else (some, 0)
        if len(halves) == 2 and odd:
            folded_even_odd(data, place + i * row, step, halves, target, at)
        elif len(halves) == 2:
            folded_even_even(data, place + i * row, step, halves, target, at)
        elif odd:
            folded_odd(data, place + i * row, step, halves, target, at)
        else:
            folded_even(data, place + i * row, step, halves, target, at)
        if columns < WIDTH:
            for kernel in range(len(halves)):
                for x in range(columns):
                    lines[kernel, i * out.shape[2] + first + x] = some[kernel, x]


@compiled
def along_columns(image: Float, halves: Float, odd: bool, rows: Map, first: int, last: int, every: int = 1) -> Float:
    """Convolve every column with one or two symmetric or antisymmetric kernels.

    Args:
        image: ``(R, C)``.
        halves: ``(kernels, radius + 1)`` weights from the centre outwards, of one kernel or two.
        odd: the last one is antisymmetric, the weights above the centre negative; all others are symmetric.
        rows: map of the wanted rows with ``radius`` more at both ends.
        first, last: image columns to compute.
        every: only every so many rows, from the first one on.

    Returns:
        ``(kernels, 1 + (len(rows) - 2 * radius - 1) // every, last - first)``.
    """
    radius, width = halves.shape[1] - 1, last - first
    out = np.empty((len(halves), 1 + (len(rows) - 2 * radius - 1) // every, width), dtype=np.float32)
    # Strip by strip: what the kernels see lies together, in few lines and pages of the memory.
    strip = _aligned(len(rows), WIDTH)
    seen = strip.reshape(-1)
    for left in range(0, width, WIDTH):
        some = min(WIDTH, width - left)
        for i in range(len(rows)):
            line, place = image[rows[i]], first + left
            for x in range(some):
                strip[i, x] = line[place + x]
        _fold(seen, radius * WIDTH, every * WIDTH, WIDTH, halves, odd, out, left, out.shape[1], some)
    return out


@compiled
def along_rows(image: Float, halves: Float, odd: bool, columns: Map) -> Float:
    """Convolve every row with one or two symmetric or antisymmetric kernels.

    Args:
        image: ``(R, C)``.
        halves, odd: as in `along_columns`.
        columns: map, into this image, of the wanted columns with ``radius`` more at both ends.

    Returns:
        ``(kernels, R, len(columns) - 2 * radius)``.
    """
    radius = halves.shape[1] - 1
    width = len(columns) - 2 * radius
    out = np.empty((len(halves), len(image), width), dtype=np.float32)
    # Row behind row, each with its mirrored ends.
    step = len(columns) + WIDTH
    mirrored = np.zeros((len(image), step), dtype=np.float32)
    for i in range(len(image)):
        for j in range(len(columns)):
            mirrored[i, j] = image[i, columns[j]]
    seen = mirrored.reshape(-1)
    for left in range(0, width, WIDTH):
        _fold(seen, radius + left, step, 1, halves, odd, out, left, len(image), min(WIDTH, width - left))
    return out


@compiled
def between(samples: Float, weights: Float, first: int, last: int) -> Float:
    """Rows between rows that are ``len(weights)`` apart: a weighted sum of those around each one.

    Args:
        samples: ``(n, C)``; row 0 lies at row 0 of the result's numbering.
        weights: ``(apart, taps)``; of row ``i`` those of ``i % apart``, for ``taps / 2`` rows up to it and the others.
        first, last: rows to compute, by that numbering.

    Returns:
        ``(last - first, C)``.
    """
    apart, taps = weights.shape
    out = np.zeros((last - first, samples.shape[1]), dtype=np.float32)
    for i in range(first, last):
        line = out[i - first]
        for tap in range(taps):
            weight, sample = weights[i % apart, tap], samples[i // apart + tap - taps // 2 + 1]
            for x in range(len(line)):
                line[x] += weight * sample[x]
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
