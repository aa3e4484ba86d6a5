"""From a pen's path to pixels: the same pixels on the tablet and on the server.

Points are pixel coordinates of a plane's image, ``x`` to the right and ``y`` downwards, pixel centres at integers. They and
the width are rounded to float32 first, as they are on the wire, so that ink drawn at once equals ink decoded later. Results
are pixel indices inside the image, each once, sorted by row, then column.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Pixels = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Columns and rows of ``n`` pixels: two arrays ``(n,)`` int64."""


def stroke_pixels(
    x: ArrayLike,
    y: ArrayLike,
    *,
    width_mm: ArrayLike,
    pixel_mm: tuple[float, float],
    size: tuple[int, int],
) -> Pixels:
    """Pixels of a stroke: those whose centre is within half a width of the line, and those that the line crosses.

    The second part keeps a thin line whole on thick slices, where no pixel centre may be near it.

    Args:
        x, y: ``(n,)`` points in pixels, n ≥ 1.
        width_mm: width of the line in millimetres, or ``(n,)`` widths at the points, between which it changes evenly.
        pixel_mm: distance of neighbouring columns and of neighbouring rows, in millimetres.
        size: columns and rows of the image.
    """
    px, py = _points(x, y)
    columns, rows = size
    inked = np.zeros((rows, columns), dtype=bool)
    radii = np.broadcast_to(np.asarray(width_mm, dtype=np.float32).astype(np.float64) / 2.0, px.shape)
    ends = slice(1, None) if len(px) > 1 else slice(None)
    for ax, ay, bx, by, start, end in zip(px, py, px[ends], py[ends], radii, radii[ends]):
        _capsule(inked, ax, ay, bx, by, start, end, pixel_mm)
        _line(inked, ax, ay, bx, by)
    found_rows, found_columns = np.nonzero(inked)
    return found_columns, found_rows


def lasso_pixels(x: ArrayLike, y: ArrayLike, *, size: tuple[int, int]) -> Pixels:
    """Pixels whose centre lies inside the closed line through the points (even-odd rule), and those that it crosses.

    Args:
        x, y: ``(n,)`` points in pixels, n ≥ 1; the last is joined to the first.
        size: columns and rows of the image.
    """
    px, py = _points(x, y)
    columns, rows = size
    inside = np.zeros((rows, columns), dtype=bool)
    qx, qy = np.roll(px, -1), np.roll(py, -1)
    low = max(0, int(np.ceil(py.min())))
    high = min(rows - 1, int(np.floor(py.max())))
    centres = np.arange(columns)
    for row in range(low, high + 1):
        crossing = (py <= row) != (qy <= row)
        ax, ay, bx, by = px[crossing], py[crossing], qx[crossing], qy[crossing]
        edges = np.sort(ax + (row - ay) / (by - ay) * (bx - ax))
        inside[row] = (np.searchsorted(edges, centres, side="right") % 2) == 1
    for ax, ay, bx, by in zip(px, py, qx, qy):
        _line(inside, ax, ay, bx, by)
    found_rows, found_columns = np.nonzero(inside)
    return found_columns, found_rows


def _points(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    px = np.asarray(x, dtype=np.float32).astype(np.float64)
    py = np.asarray(y, dtype=np.float32).astype(np.float64)
    if px.ndim != 1 or px.shape != py.shape or not px.size:
        raise ValueError("A path needs as many columns as rows, and at least one point.")
    return px, py


def _capsule(
    inked: NDArray[np.bool_],
    ax: float,
    ay: float,
    bx: float,
    by: float,
    start: float,
    end: float,
    pixel_mm: tuple[float, float],
) -> None:
    """Ink the pixels whose centre is near the segment from a to b: within ``start`` mm of a, ``end`` mm of b, and what lies
    evenly between."""
    rows, columns = inked.shape
    dx, dy = pixel_mm
    radius = max(start, end)
    left = max(0, int(np.floor(min(ax, bx) - radius / dx)))
    right = min(columns - 1, int(np.ceil(max(ax, bx) + radius / dx)))
    top = max(0, int(np.floor(min(ay, by) - radius / dy)))
    bottom = min(rows - 1, int(np.ceil(max(ay, by) + radius / dy)))
    if left > right or top > bottom:
        return
    cx = (np.arange(left, right + 1) - ax)[None, :] * dx
    cy = (np.arange(top, bottom + 1) - ay)[:, None] * dy
    sx, sy = (bx - ax) * dx, (by - ay) * dy
    length = sx * sx + sy * sy
    along = np.clip((cx * sx + cy * sy) / length, 0.0, 1.0) if length > 0 else 0.0
    reach = start + along * (end - start)
    near = (cx - along * sx) ** 2 + (cy - along * sy) ** 2 <= reach * reach
    if start != end:  # else the two circles are in it
        near |= cx**2 + cy**2 <= start * start
        near |= (cx - sx) ** 2 + (cy - sy) ** 2 <= end * end
    inked[top : bottom + 1, left : right + 1] |= near


def _line(inked: NDArray[np.bool_], ax: float, ay: float, bx: float, by: float) -> None:
    """Ink the pixels that the segment passes through, sampled at least twice a pixel."""
    rows, columns = inked.shape
    steps = int(np.ceil(max(abs(bx - ax), abs(by - ay)) * 2)) + 1
    t = np.linspace(0.0, 1.0, steps + 1)
    column = np.floor(ax + t * (bx - ax) + 0.5).astype(np.int64)
    row = np.floor(ay + t * (by - ay) + 0.5).astype(np.int64)
    kept = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    inked[row[kept], column[kept]] = True
