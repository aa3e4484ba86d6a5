"""Entropy of the levels in a disk around each pixel, as loops of two kinds that give the same numbers.

The entropy of n pixels with c of each level is log2(n) − Σ c·log2(c) / n. The sum is one of integers, units of 1 / `UNIT`,
so that a pixel has the same bytes whatever rectangle it was asked in.
"""

from __future__ import annotations

import numpy as np

from services.core.compiled import compiled
from services.core.filters import Float, Level, Map

UNIT = 1 << 20
"""Units of ``c * log2(c)``."""

_STRIP = 128  # centres at once in `of_disks_inside`
_FEW = 8  # pixels of a level, up to which counting them again is faster than a look at a table


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
    centres at once, c is counted by comparing each pixel of the footprint with those before it. How many pixels have a c
    above each number is counted again, because that, too, goes for many centres at once, where c is small. Arguments and
    result as of `of_disks`; the footprint has at most 255 pixels.
    """
    radius = len(reach) // 2
    size = len(weights) - 1
    offsets = np.empty(size, dtype=np.int64)
    number = 0
    for row in range(len(reach)):
        for column in range(-reach[row], reach[row] + 1):
            offsets[number] = (row - radius) * image.shape[1] + column
            number += 1
    steps = weights[1:] - weights[:-1]
    flat = image.reshape(-1)
    out = np.empty((bottom - top, right - left), dtype=np.float32)
    before = np.empty(_STRIP, dtype=np.uint8)
    above = np.empty((_FEW, _STRIP), dtype=np.uint8)
    spread = np.empty(_STRIP, dtype=np.int64)
    for i in range(top, bottom):
        for first in range(left, right, _STRIP):
            width = min(_STRIP, right - first)
            place = i * image.shape[1] + first
            spread[:] = 0
            above[:] = 0
            deepest = 0
            for pixel in range(1, size):
                earlier = before[:width]
                _count_earlier(flat, place, offsets, pixel, earlier)
                most = _largest(earlier)
                if most > _FEW:
                    for x in range(width):
                        spread[x] += steps[earlier[x]]
                else:
                    deepest = max(deepest, most)
                    for c in range(most):
                        counted = above[c]
                        for x in range(width):
                            counted[x] += np.uint8(earlier[x] > c)
            for c in range(deepest):
                step, counted = steps[c + 1] - steps[c], above[c]
                for x in range(width):
                    spread[x] += step * counted[x]
            for x in range(width):
                out[i - top, first - left + x] = (weights[size] - spread[x]) / (size * np.float64(UNIT))
    return out


@compiled
def _largest(counts: Level) -> int:
    """The largest of them."""
    most = np.uint8(0)
    for x in range(len(counts)):
        most = max(most, counts[x])
    return int(most)


@compiled
def _count_earlier(flat: Level, place: int, offsets: Map, pixel: int, earlier: Level) -> None:
    """How many of a footprint's pixels before one have its level, for neighbouring centres from ``place`` on."""
    width = len(earlier)
    here = flat[place + offsets[pixel] : place + offsets[pixel] + width]
    earlier[:] = 0
    other = 0
    while other + 4 <= pixel:  # four at a time: most of the work is to load and store the counts
        a = flat[place + offsets[other] : place + offsets[other] + width]
        b = flat[place + offsets[other + 1] : place + offsets[other + 1] + width]
        c = flat[place + offsets[other + 2] : place + offsets[other + 2] + width]
        d = flat[place + offsets[other + 3] : place + offsets[other + 3] + width]
        for x in range(width):
            earlier[x] += (
                np.uint8(here[x] == a[x])
                + np.uint8(here[x] == b[x])
                + np.uint8(here[x] == c[x])
                + np.uint8(here[x] == d[x])
            )
        other += 4
    while other < pixel:
        a = flat[place + offsets[other] : place + offsets[other] + width]
        for x in range(width):
            earlier[x] += np.uint8(here[x] == a[x])
        other += 1
