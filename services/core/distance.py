"""The exact Euclidean distance to an outline, in linear time (Felzenszwalb and Huttenlocher 2012)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.compiled import compiled

Mask = NDArray[np.bool_]
Values = NDArray[np.float32]

FAR = 1e6
"""The distance, with its sign, where there is no outline."""


def signed_distance(mask: Mask, spacing: tuple[float, float] = (1.0, 1.0)) -> Values:
    """Distance to the nearest pixel of the other kind.

    Args:
        mask: ``(rows, columns)`` bool.
        spacing: distance of rows and columns, in mm; without it distances are in pixels.

    Returns:
        ``(rows, columns)`` float32, positive inside; ``± FAR`` where all pixels are of one kind.
    """
    inside = _to_nearest(~mask, spacing[0], spacing[1])
    outside = _to_nearest(np.ascontiguousarray(mask), spacing[0], spacing[1])
    distance: Values = np.where(mask, inside, -outside)
    return distance


@compiled
def _to_nearest(wanted: Mask, down: float, along: float) -> Values:
    """Distance to the nearest true pixel: first along the columns, then by the lower envelope of parabolas along rows."""
    rows, columns = wanted.shape
    far = FAR
    vertical = np.empty((rows, columns))
    for c in range(columns):
        vertical[0, c] = 0.0 if wanted[0, c] else far
    for r in range(1, rows):
        for c in range(columns):
            vertical[r, c] = 0.0 if wanted[r, c] else min(far, vertical[r - 1, c] + down)
    for r in range(rows - 2, -1, -1):
        for c in range(columns):
            vertical[r, c] = min(vertical[r, c], vertical[r + 1, c] + down)
    out = np.empty((rows, columns), np.float32)
    centre = np.empty(columns, np.int64)  # of the parabolas of the envelope
    start = np.empty(columns + 1)  # where each of them begins to be the lowest
    for r in range(rows):
        line = vertical[r]
        k = -1
        for c in range(columns):
            if line[c] >= far:
                continue
            x = c * along
            while k >= 0:
                p = centre[k] * along
                meet = ((line[c] ** 2 + x * x) - (line[centre[k]] ** 2 + p * p)) / (2 * (x - p))
                if meet > start[k]:
                    break
                k -= 1
            if k < 0:
                meet = -np.inf
            k += 1
            centre[k], start[k] = c, meet
        if k < 0:
            out[r] = np.float32(far)
            continue
        last, k = k, 0
        for c in range(columns):
            x = c * along
            while k < last and start[k + 1] < x:
                k += 1
            apart = x - centre[k] * along
            out[r, c] = np.float32(np.sqrt(line[centre[k]] ** 2 + apart * apart))
    return out
