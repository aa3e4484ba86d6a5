"""Where an object is likely to be, from the slices that strokes complete (`services.core.completion`).

Between two completed slices the object's signed distance is interpolated; beyond the last one it is taken to be about as
deep as it is wide, and rounded off like a ball.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Values = NDArray[np.float32]
Levels = NDArray[np.uint8]

DEEP = 1.3
"""How deep an object reaches beyond its last completed slice, as a multiple of a ball's depth."""
MOST = 4.0
"""Largest log odds of a prior."""

_SOFT = 0.25


class Shape:
    """Where the object is likely to be, from completed slices.

    Args:
        distances_mm: from the object's outline in completed slices, by the number of the slice, each ``(rows, columns)``
            and positive inside (`services.core.distance.signed_distance`); at least one.
        slice_mm: distance of slices.
    """

    def __init__(self, distances_mm: Mapping[int, Values], slice_mm: float) -> None:
        self._slice_mm = slice_mm
        self._numbers = sorted(distances_mm)
        self._distances = dict(distances_mm)
        self._radii = {number: max(0.0, float(found.max())) for number, found in self._distances.items()}
        self._radius = max(self._radii.values()) or 10.0
        for number, radius in self._radii.items():
            if not radius:
                self._distances[number] = np.full_like(self._distances[number], -self._radius)

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays held."""
        return sum(one.nbytes for one in self._distances.values())

    def log_odds(self, index: int, rows: slice = slice(None), columns: slice = slice(None)) -> Values:
        """Log odds of the object in a rectangle of slice ``index``, ``(rows, columns)`` float32 within ± `MOST`."""
        before = max((number for number in self._numbers if number <= index), default=None)
        after = min((number for number in self._numbers if number >= index), default=None)
        if before is None or after is None:
            last = before if after is None else after
            assert last is not None
            away_mm = abs(index - last) * self._slice_mm
            found, soft = self._beyond(last, away_mm, rows, columns), _SOFT * self._radius + 0.5
        elif before == after:
            found, soft = self._distances[before][rows, columns], 1.0
        else:
            part = (index - before) / (after - before)
            one, other = self._beside(before, after)[rows, columns], self._beside(after, before)[rows, columns]
            found = (1 - part) * one + part * other
            soft = 0.5 * _SOFT * min(index - before, after - index) * self._slice_mm + 1.0
        odds: Values = np.clip(found / np.float32(soft), -MOST, MOST).astype(np.float32)
        return odds

    def _beside(self, number: int, other: int) -> Values:
        """Distances in a completed slice; in one without the object, at least as far outside as the other's are inside."""
        if self._radii[number]:
            return self._distances[number]
        outside: Values = np.minimum(self._distances[number], -np.abs(self._distances[other]))
        return outside

    def _beyond(self, last: int, away_mm: float, rows: slice, columns: slice) -> Values:
        """Signed distance from a ball-like end of the object: what is deep inside the last slice reaches farthest."""
        distance = self._distances[last][rows, columns]
        radius = self._radii[last]
        depth = np.clip(distance, 0.0, radius)
        height = DEEP * np.sqrt(radius * radius - (radius - depth) ** 2)
        left: Values = np.where(distance > 0, height, distance) - np.float32(away_mm)
        return left


def log_odds(levels: Levels) -> Values:
    """Log odds of a probability given as levels of 255, within ± `MOST`."""
    return _ODDS_OF_LEVELS[levels]


def probability(odds: Values) -> Values:
    """Probability of log odds."""
    p: Values = (1.0 / (1.0 + np.exp(-odds))).astype(np.float32)
    return p


def _odds_of_levels() -> Values:
    p = np.arange(256, dtype=np.float32) / np.float32(255.0)
    odds: Values = np.clip(np.log((p + 0.02) / (1.02 - p)), -MOST, MOST).astype(np.float32)
    return odds


_ODDS_OF_LEVELS = _odds_of_levels()
