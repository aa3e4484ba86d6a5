"""Entropy of the levels in a disk around each pixel, as loops of two kinds that give the same numbers.

The entropy of n pixels with c of each level is log2(n) − Σ c·log2(c) / n. The sum is one of integers, units of 1 / `UNIT`,
so that a pixel has the same bytes whatever rectangle it was asked in.
"""

from __future__ import annotations

import numpy as np

from services.core.compiled import compiled
from services.core.filters import Float, Level, Map
from services.core.vectors import CENTRES, count_above, count_earlier

UNIT = 1 << 20
"""Units of ``c * log2(c)``."""


@compiled
def of_disks(image: Level, reach: Map, weights: Map, top: int, bottom: int, left: int, right: int) -> Float:
    """Entropy, in bits, of the levels under a footprint; pixels outside the image do not count.

    Args:
        image: ``(R, C)``, the whole image.
        reach: ``(2 * radius + 1,)``; row ``k`` of the footprint spans columns ``-reach[k]`` to ``reach[k]``.
        weights: ``c * log2(c)`` in units of 1 / `UNIT`, for c from 0 to the footprint's pixels.
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
            out[i - top, j - left] = (weights[inside] - spread) / (inside * np.float64(UNIT))
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
def of_disks_inside(image: Level, reach: Map, weights: Map, top: int, bottom: int, left: int, right: int) -> Float:
    """`of_disks` of a rectangle whose footprints all lie inside the image, for small footprints: the same numbers.

    A pixel of the footprint that is the (c + 1)-th of its level adds ``weights[c + 1] - weights[c]`` to the sum. For many
    centres at once, c is counted by comparing each pixel of the footprint with those before it, and then how many pixels
    have a c above each number. Arguments and result as of `of_disks`; the footprint has at most 255 pixels, and the
    rectangle at least `CENTRES` columns.
    """
    radius = len(reach) // 2
    size = len(weights) - 1
    offsets = np.empty(size, dtype=np.int64)
    number = 0
    for row in range(len(reach)):
        for column in range(-reach[row], reach[row] + 1):
            offsets[number] = (row - radius) * image.shape[1] + column
            number += 1
    flat = image.reshape(-1)
    out = np.empty((bottom - top, right - left), dtype=np.float32)
    earlier = np.empty((size, CENTRES), dtype=np.uint8)
    above = np.empty(CENTRES, dtype=np.uint8)
    spread = np.empty(CENTRES, dtype=np.int32)  # which hold the sum of 255 pixels
    for i in range(top, bottom):
        for start in range(left, right, CENTRES):
            first = min(start, right - CENTRES)  # the last centres of a row may be computed twice
            count_earlier(flat, i * image.shape[1] + first, offsets, earlier)
            spread[:] = 0
            c = 0
            while c + 1 < size and count_above(earlier, c, above):
                step = np.int32(weights[c + 2] - 2 * weights[c + 1] + weights[c])
                for x in range(CENTRES):
                    spread[x] += step * np.int32(above[x])
                c += 1
            for x in range(CENTRES):
                out[i - top, first - left + x] = (weights[size] - spread[x]) / (size * np.float64(UNIT))
    return out
