"""What strokes say about where an object is: annotated slices completed, and the shape between and beyond them.

A clinician draws along the middle of an object and around it, so in a slice with strokes of both labels a random walker
finds the whole object; its outline is where the walker's level lines run along the strongest edges. Between two completed
slices the object's signed distance is interpolated; beyond the last one it is taken to be about as deep as it is wide, and
rounded off like a ball.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from services.core import walk
from services.core.labels import BACKGROUND, OBJECT

Mask = NDArray[np.bool_]
Values = NDArray[np.float32]
Levels = NDArray[np.uint8]

LEAST_PIXELS = 12
"""A slice with fewer labelled pixels is not completed: strokes drawn in another plane cross many slices."""
DEEP = 1.3
"""How deep an object reaches beyond its last completed slice, as a multiple of a ball's depth."""
MOST = 4.0
"""Largest log odds of a prior."""

_EDGE = 130.0
_COMPLETE_SWEEPS = (10, 15, 20, 30, 60, 200)
_PRIOR_SWEEPS = (12, 12, 20)
_PRIOR_WEIGHT = 0.01
_SOFT = 0.25
_LOWEST, _HIGHEST = 13, 230  # levels among which an outline is sought


def annotated(labels: Levels) -> list[int]:
    """Slices to complete, the one that says most first: strokes of both labels, then the most pixels.

    Args:
        labels: ``(slices, rows, columns)``, 0 where nothing is drawn, 1 object, 2 background.
    """
    pixels = np.count_nonzero(labels, axis=(1, 2))
    both = (labels == OBJECT).any(axis=(1, 2)) & (labels == BACKGROUND).any(axis=(1, 2))
    if not both.any():
        return []
    chosen = np.flatnonzero(pixels >= LEAST_PIXELS)
    return sorted((int(index) for index in chosen), key=lambda index: (not both[index], -pixels[index], index))


def completed(image: Levels, labels: Levels, pixel_mm: tuple[float, float]) -> Mask:
    """The object in a slice with strokes of both labels, from these and the image alone.

    Args:
        image: ``(rows, columns)`` uint8 over the volume's window.
        labels: ``(rows, columns)``, 0 where nothing is drawn, 1 object, 2 background.
        pixel_mm: distance of rows and columns.
    """
    none = np.full((1, *image.shape), 0.5, np.float32)
    problem = walk.Problem(image[None], none, np.full_like(none, 1e-7), seeds(labels)[None], (1.0, *pixel_mm), _EDGE)
    reached = walk.solve(problem, len(_COMPLETE_SWEEPS), _COMPLETE_SWEEPS)[0]
    return _kept(reached * 255.0 >= _outline(reached, image), labels)


def completed_with(image: Levels, labels: Levels, pixel_mm: tuple[float, float], log_odds: Values) -> Mask:
    """The object in a slice with some strokes, given a prior: as `completed`, with ``log_odds`` ``(rows, columns)``."""
    problem = walk.Problem(
        image[None],
        probability(log_odds)[None],
        np.full((1, *image.shape), _PRIOR_WEIGHT, np.float32),
        seeds(labels)[None],
        (1.0, *pixel_mm),
        _EDGE,
    )
    return _kept(walk.solve(problem, len(_PRIOR_SWEEPS), _PRIOR_SWEEPS)[0] >= 0.5, labels)


class Shape:
    """Where the object is likely to be, from completed slices.

    Args:
        masks: object in completed slices, by the number of the slice, each ``(rows, columns)``; at least one.
        spacing_mm: distance of slices, rows and columns.
    """

    def __init__(self, masks: Mapping[int, Mask], spacing_mm: tuple[float, float, float]) -> None:
        self._slice_mm = spacing_mm[0]
        self._numbers = sorted(masks)
        distances = {number: _signed_distance(masks[number], spacing_mm[1:]) for number in self._numbers}
        self._radii = {number: 0.0 if found is None else float(found.max()) for number, found in distances.items()}
        self._radius = max(self._radii.values()) or 10.0
        empty = np.full(next(iter(masks.values())).shape, -self._radius, np.float32)
        self._distances = {number: empty if found is None else found for number, found in distances.items()}

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


def seeds(labels: Levels) -> walk.Seeds:
    """Strokes as seeds of the walker, of the labels' shape."""
    found = np.full(labels.shape, walk.FREE, np.int8)
    found[labels == OBJECT] = walk.OBJECT
    found[labels == BACKGROUND] = walk.BACKGROUND
    return found


def log_odds(levels: Levels) -> Values:
    """Log odds of a probability given as levels of 255, within ± `MOST`."""
    p = levels.astype(np.float32) / np.float32(255.0)
    odds: Values = np.clip(np.log((p + 0.02) / (1.02 - p)), -MOST, MOST).astype(np.float32)
    return odds


def probability(odds: Values) -> Values:
    """Probability of log odds."""
    p: Values = (1.0 / (1.0 + np.exp(-odds))).astype(np.float32)
    return p


def _kept(mask: Mask, labels: Levels) -> Mask:
    """A mask on which every stroke has its label."""
    kept: Mask = (mask | (labels == OBJECT)) & (labels != 2)
    return kept


def _outline(reached: Values, image: Levels) -> int:
    """The level, of 255, whose lines run along the strongest edges on average.

    A line of level t runs between two neighbouring pixels when one has at least t and the other has not.
    """
    levels = np.rint(reached * 255.0).astype(np.int64)
    edges = ndimage.gaussian_gradient_magnitude(image.astype(np.float32), 1.0)
    strength, length = np.zeros(257), np.zeros(257)
    for one, other, a, b in (
        (levels[1:], levels[:-1], edges[1:], edges[:-1]),
        (levels[:, 1:], levels[:, :-1], edges[:, 1:], edges[:, :-1]),
    ):
        low, high = np.minimum(one, other).ravel() + 1, np.maximum(one, other).ravel() + 1
        both = 0.5 * (a + b).ravel()
        strength += np.bincount(low, both, minlength=257) - np.bincount(high, both, minlength=257)
        length += np.bincount(low, minlength=257) - np.bincount(high, minlength=257)
    strength, length = strength.cumsum(), length.cumsum()
    mean = np.where(length > 0, strength / np.maximum(length, 1.0), 0.0)[_LOWEST : _HIGHEST + 1]
    return _LOWEST + int(np.argmax(mean))


def _signed_distance(mask: Mask, pixel_mm: tuple[float, float]) -> Values | None:
    """Distance to the outline in mm, positive inside; ``None`` for an empty mask."""
    if not mask.any():
        return None
    inside = ndimage.distance_transform_edt(mask, sampling=pixel_mm)
    outside = ndimage.distance_transform_edt(~mask, sampling=pixel_mm)
    distance: Values = (inside - outside).astype(np.float32)
    return distance
