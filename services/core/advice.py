"""Where the next strokes pay most, and how good the mask is expected to be.

A level of the preset ``calque`` is calibrated (`services.core.spatial`), so what is wrong can be counted without the truth:
a voxel in the mask is wrong with 1 − p, one outside of it with p. The slice where most is expected to be wrong pays most,
the more the farther it is from slices that were drawn on, whose strokes already speak for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core.mask import expected_dice

Level = NDArray[np.uint8]

PLACES = 5
"""So many places are told at most."""
ENOUGH = 0.88
"""A mask that is expected to agree so well with the truth, as a Dice coefficient, needs no more strokes."""
WORTH = 15.0
"""A slice with fewer wrong pixels than so many is not worth a stroke."""

_SAID = 0.05  # strokes on a slice say nearly all there is to say of it
_TAIL = 0.1  # of the doubt in a slice lies above, below, left and right of the rectangle that is told
_APART = 2  # slices that two places are at least apart


@dataclass(frozen=True)
class Place:
    """A part of an acquisition slice that is in doubt: a rectangle of its pixels."""

    slice: int
    row: int
    column: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Advice:
    """Where to draw next.

    Attributes:
        places: the best first, each in another slice; none where nothing is in doubt.
        expected_dice: of the mask at the threshold, 0 to 1.
        enough: more strokes would hardly change the mask.
    """

    places: tuple[Place, ...]
    expected_dice: float
    enough: bool


def advise(
    levels: Level,
    counts: NDArray[np.int64],
    labels: Level,
    spacing_mm: tuple[float, float, float],
    threshold: int,
) -> Advice:
    """Say where to draw next.

    Args:
        levels: ``(slices, rows, columns)`` uint8, probability × 255.
        counts: ``(slices, 256)``, voxels at each level (`services.core.mask.histogram`).
        labels: of the levels' shape, 0 where nothing is drawn.
        spacing_mm: distance of slices, rows and columns.
        threshold: of the mask, 1 to 255.
    """
    inside = np.arange(256) >= threshold
    chance = np.where(inside, 255 - np.arange(256), np.arange(256)) / 255.0  # that a voxel of a level is wrong
    wrong = counts @ chance
    size_mm = np.sqrt(counts[:, inside].sum(axis=1).max() * spacing_mm[1] * spacing_mm[2])
    pay = wrong * (_SAID + _away_mm(labels, spacing_mm[0]) / max(float(size_mm), spacing_mm[0]))
    places: list[Place] = []
    for index in np.argsort(-pay, kind="stable"):
        if len(places) == PLACES or wrong[index] < WORTH:
            break
        if all(abs(int(index) - place.slice) >= _APART for place in places):
            (row, rows), (column, columns) = (_middle(chance[levels[index]].sum(axis=axis)) for axis in (1, 0))
            places.append(Place(int(index), row, column, rows, columns))
    expected = expected_dice(counts.sum(axis=0), threshold)
    return Advice(tuple(places), expected, expected >= ENOUGH)


def _away_mm(labels: Level, slice_mm: float) -> NDArray[np.float64]:
    """Distance of each slice from the nearest one that was drawn on, ``(slices,)``; 0 where none was."""
    drawn = np.flatnonzero(labels.any(axis=(1, 2)))
    if not len(drawn):
        return np.zeros(len(labels))
    away: NDArray[np.float64] = np.abs(np.arange(len(labels))[:, None] - drawn).min(axis=1) * np.float64(slice_mm)
    return away


def _middle(line: NDArray[np.float64]) -> tuple[int, int]:
    """Where the middle part of what a line adds up to begins, and how long it is."""
    part = line.cumsum() / line.sum()
    first, last = int(np.searchsorted(part, _TAIL)), int(np.searchsorted(part, 1.0 - _TAIL))
    return first, min(last, len(line) - 1) - first + 1
