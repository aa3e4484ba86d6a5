"""Features of an encoder ("latent features") as the forest sees them: levels on a coarse grid, brought to the pixels.

An encoder answers with values of 0 to 1 at grid points ``stride`` pixels apart, which are kept as levels of 0 to 255. Grid
point ``(r, c)`` stands at pixel ``(r, c) × stride + (stride - 1) / 2``; between grid points levels are linear in both
directions, beyond the outer ones they are repeated. All weights are whole parts of 2 × stride, so sums are exact and
rounded once: a rectangle has the same bytes as the same part of the whole slice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.compiled import compiled

Level = NDArray[np.uint8]

_SHIFT = 44


@dataclass(frozen=True)
class Latent:
    """What an encoder says of a volume. What two encoders say of it differs, what one says is equal.

    Attributes:
        digest: SHA-256 of the encoder's file, hexadecimal.
        stride: pixels between grid points, in both directions.
        grids: ``(slices, grid_rows, grid_columns, channels)`` uint8.
    """

    digest: str
    stride: int = field(compare=False)
    grids: Level = field(compare=False, repr=False)

    def levels(self, index: int, size: tuple[int, int], rows: slice | None = None, columns: slice | None = None) -> Level:
        """A rectangle of a slice of ``size`` rows and columns: ``(channels, rows, columns)`` uint8, see `spread`."""
        return spread(self.grids[index], size, self.stride, rows, columns)


def beside(
    features: Level,
    latent: Latent | None,
    index: int,
    size: tuple[int, int],
    rows: slice | None = None,
    columns: slice | None = None,
) -> Level:
    """What a forest sees of a rectangle of a slice: its own features, and behind them the encoder's where there are any.

    Args:
        features: of the rectangle, ``(features, rows, columns)`` uint8.
        latent: of the volume.
        index, size: number of the slice, its rows and columns.
        rows, columns: the rectangle; None: all.

    Returns:
        ``(features + channels, rows, columns)`` uint8; without ``latent`` the features themselves.
    """
    return features if latent is None else np.concatenate([features, latent.levels(index, size, rows, columns)])


def quantised(features: NDArray[np.floating[Any]]) -> Level:
    """Values of 0 to 1 as levels, of the same shape; what lies beyond, as rounding may have it, is cut off."""
    levels: Level = np.rint(np.clip(features.astype(np.float32), 0.0, 1.0) * np.float32(255.0)).astype(np.uint8)
    return levels


def spread(
    grid: Level, size: tuple[int, int], stride: int, rows: slice | None = None, columns: slice | None = None
) -> Level:
    """Levels of a rectangle's pixels from those of the grid points.

    Args:
        grid: ``(grid_rows, grid_columns, channels)`` uint8, ``ceil(size / stride)`` points in each direction.
        size: rows and columns of the whole slice.
        stride: pixels between grid points, 1 to 256.
        rows, columns: the rectangle, without steps; None: all.

    Returns:
        ``(channels, rows, columns)`` uint8.
    """
    down, across = (
        _between(*(part or slice(None)).indices(length)[:2], points, stride)
        for part, length, points in zip((rows, columns), size, grid.shape)
    )
    return _mixed(np.ascontiguousarray(grid.transpose(2, 0, 1)), *down, *across, 2 * stride)


def _between(start: int, stop: int, points: int, stride: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """For each pixel of a line the grid point before it, and how far the pixel is behind that, in parts of 2 × stride."""
    pixels = np.arange(start, max(start, stop), dtype=np.int32)
    place = np.clip(2 * pixels - (stride - 1), 0, 2 * stride * (points - 1))
    before = np.minimum(place // (2 * stride), max(points - 2, 0))
    return before.astype(np.int32), (place - 2 * stride * before).astype(np.int32)


@compiled
def _mixed(
    grid: Level,
    above: NDArray[np.int32],
    below: NDArray[np.int32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    whole: int,
) -> Level:
    """Linear in both directions, rounded, a half up.

    Args:
        grid: ``(channels, grid_rows, grid_columns)``.
        above, left: grid point before each row and column of pixels.
        below, right: weight of the point after it, 0 to ``whole``.
        whole: sum of two weights.
    """
    out = np.empty((grid.shape[0], len(above), len(left)), dtype=np.uint8)
    first, second = np.empty(len(left), dtype=np.int32), np.empty(len(left), dtype=np.int32)
    half, unit = whole * whole // 2, whole * whole
    # A sum is below 2**8 * unit, and unit at most 2**18: a product with this, shifted, is the quotient to the last bit.
    share = (1 << _SHIFT) // unit + 1
    for channel in range(grid.shape[0]):
        known = -1
        for row in range(len(above)):
            if above[row] != known:
                known = above[row]
                _along(first, grid[channel, known], left, right, whole)
                _along(second, grid[channel, min(known + 1, grid.shape[1] - 1)], left, right, whole)
            up, down = whole - below[row], below[row]
            for column in range(len(left)):
                out[channel, row, column] = ((first[column] * up + second[column] * down + half) * share) >> _SHIFT
    return out


@compiled
def _along(out: NDArray[np.int32], line: Level, left: NDArray[np.int32], right: NDArray[np.int32], whole: int) -> None:
    """Linear along a line of grid points, times ``whole``."""
    last = len(line) - 1
    for column in range(len(left)):
        point, weight = left[column], right[column]
        out[column] = line[point] * (whole - weight) + line[min(point + 1, last)] * weight
