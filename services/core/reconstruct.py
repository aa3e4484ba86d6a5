"""Greyscale reconstruction (Vincent 1993): a switch on masks that holds at every threshold, done once on the levels.

A mask is level ≥ t (`services.core.mask`). What `connected` and `filled` give is again levels: cut at any t they give the
mask that connecting or filling the mask at t would give, so the threshold stays a comparison. Neighbours are the six voxels
that share a face, in three dimensions. With both, connect first: an unconnected crumb in a hole then vanishes and the hole
is filled.

Both ask for the same thing: from some voxels on, how high is the lowest place of the best way to each other voxel? A flood
answers it exactly, the highest places first (Dijkstra's order, with a list for each of 255 levels); it comes to each voxel
once, and only to the box that holds levels above 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core.compiled import compiled

Level = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Box = tuple[slice, slice, slice]


def connected(levels: Level, marked: Mask) -> Level:
    """What is connected with marked voxels, at every threshold.

    Args:
        levels: ``(slices, rows, columns)`` uint8.
        marked: of the same shape, the voxels of the object's strokes.

    Returns:
        As ``levels``: for t from 1 to 255, {result ≥ t} is those connected components of {levels ≥ t} that hold a marked
        voxel. Without any marked voxel there is nothing to be connected with: the levels as they are.
    """
    if not marked.any():
        return levels.copy()
    result = np.zeros_like(levels)
    box = _box(levels)
    if box is not None:
        result[box] = _reached(levels[box], marked[box])
    return result


def filled(levels: Level, barred: Mask) -> Level:
    """What the object encloses belongs to it, at every threshold.

    A hole is enclosed in three dimensions, and the first and last slice are as open as the other sides of the volume: so a
    ring stays a ring where slices lie apart, and one barred voxel keeps open all that is connected with it. Filling each
    slice by itself would fill more, but it would close a ring on every slice without a stroke.

    Args:
        levels: ``(slices, rows, columns)`` uint8.
        barred: of the same shape, voxels that are not the object: strokes of other labels.

    Returns:
        As ``levels``: for t from 1 to 255, {result ≥ t} is {levels ≥ t} and its holes. A hole is a connected component of
        {levels < t} that holds no voxel of the volume's border and no barred one.
    """
    result = np.zeros_like(levels)
    box = _box(levels)
    if box is not None:
        # Beside the box all is 0 up to the volume's border, so the sides of the box are as open as the border.
        open_ = barred[box].copy()
        open_[[0, -1]] = open_[:, [0, -1]] = open_[:, :, [0, -1]] = True
        result[box] = ~_reached(~levels[box], open_)
    return result


def _box(levels: Level) -> Box | None:
    """The smallest box that holds all levels above 0; None where there are none."""
    lines: Mask = np.asarray(levels.any(axis=2))
    if not lines.any():
        return None
    columns = np.asarray(levels.reshape(-1, levels.shape[2]).any(axis=0))
    return _span(lines.any(axis=1)), _span(lines.any(axis=0)), _span(columns)


def _span(used: NDArray[np.bool_] | np.bool_) -> slice:
    places = np.flatnonzero(used)
    return slice(int(places[0]), int(places[-1]) + 1)


def _reached(heights: Level, starts: Mask) -> Level:
    """Of each voxel the lowest height on the best way to it from a start, both ends included; 0 where no way is above 0."""
    # A voxel of height 0 around, at which the flood stops by itself.
    slices, rows, columns = (size + 2 for size in heights.shape)
    inner = (slice(1, -1),) * 3
    waiting = np.zeros((slices, rows, columns), dtype=np.uint8)
    waiting[inner] = heights
    starting = np.zeros(waiting.shape, dtype=np.bool_)
    starting[inner] = starts
    found = np.zeros_like(waiting)
    after = np.empty(waiting.size, dtype=np.uint32)
    _flood(waiting.reshape(-1), np.flatnonzero(starting), rows * columns, columns, found.reshape(-1), after)
    return found[inner]


@compiled
def _flood(waiting: Level, starts: NDArray[np.intp], plane: int, row: int, found: Level, after: NDArray[np.uint32]) -> None:
    """Fill ``found``; ``waiting`` is the heights, and 0 from when the flood has come.

    ``after`` is the memory of the lists: the next voxel in the same one; voxel 0, which lies outside, ends them.
    """
    first = np.zeros(256, np.int64)
    for voxel in starts:
        own = np.int64(waiting[voxel])
        if own > 0:
            waiting[voxel] = 0
            found[voxel] = own
            after[voxel] = first[own]
            first[own] = voxel
    steps = np.array([-plane, plane, -row, row, -1, 1])
    for height in range(255, 0, -1):
        while first[height] > 0:
            here = first[height]
            first[height] = after[here]
            for step in steps:
                there = here + step
                own = np.int64(waiting[there])
                if own > 0:
                    level = height if own > height else own
                    waiting[there] = 0
                    found[there] = level
                    after[there] = first[level]
                    first[level] = there
