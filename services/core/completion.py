"""An annotated slice completed: the whole object in it, from some strokes and the image.

A clinician draws along the middle of an object and around it, so in a slice with strokes of both labels a random walker
finds the whole object; its outline is where the walker's level lines run along the strongest edges. What is surely inside
and what is surely outside then teach a forest that slice's looks, and the outline settles anew between looks and edges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.core import walk
from services.core.compiled import compiled
from services.core.distance import signed_distance
from services.core.features import Feature, Kind, compute
from services.core.forest import fit, predict_levels
from services.core.labels import BACKGROUND, OBJECT
from services.core.shape import MOST, Mask, Values, log_odds, probability

Levels = NDArray[np.uint8]

LEAST_PIXELS = 12
"""A slice with fewer labelled pixels is not completed: strokes drawn in another plane cross many slices."""

_EDGE = 130.0
_COMPLETE_SWEEPS = (10, 15, 20, 30, 60, 200)
_PRIOR_SWEEPS = (12, 12, 20)
_PRIOR_WEIGHT = 0.06
_LOWEST, _HIGHEST = 13, 230  # levels among which an outline is sought
_EDGES = (Feature("edges", Kind.GRADIENT, 1.0),)

_AROUND = np.float32(1.2)  # a stroke is not quite in the middle
_NOT_HERE = np.float32(-1.0)

_SURE = 2.0  # pixels from the outline from which a pixel's side is sure
_REACH = 25.0  # background farther away says nothing of the outline
_SAMPLES = 400  # of each label
_FEWEST = 20
_SOFT = 8.0  # pixels to the outline for a log odd of one


def annotated(labels: Levels) -> list[int]:
    """Slices to complete, the one that says most first: strokes of both labels, then the most pixels.

    Args:
        labels: ``(slices, rows, columns)``, 0 where nothing is drawn, 1 object, 2 background.
    """
    order: list[tuple[bool, int, int]] = []
    for index in np.flatnonzero(labels.max(axis=(1, 2))):
        object_, background = (int(np.count_nonzero(labels[index] == label)) for label in (OBJECT, BACKGROUND))
        if object_ + background >= LEAST_PIXELS:
            order.append((not (object_ and background), -object_ - background, int(index)))
    order.sort()
    return [index for _, _, index in order] if order and not order[0][0] else []


def completed(image: Levels, labels: Levels, pixel_mm: tuple[float, float]) -> Mask:
    """The object in a slice with strokes of both labels, from these and the image alone.

    Args:
        image: ``(rows, columns)`` uint8 over the volume's window.
        labels: ``(rows, columns)``, 0 where nothing is drawn, 1 object, 2 background.
        pixel_mm: distance of rows and columns.
    """
    even = np.full(image.shape, 0.5, np.float32)
    problem = _problem(image, labels, pixel_mm, even, 1e-7)
    reached = walk.solve(problem, len(_COMPLETE_SWEEPS), _COMPLETE_SWEEPS)[0]
    return _kept(reached * 255.0 >= _outline(reached, image), labels)


def completed_with(image: Levels, labels: Levels, pixel_mm: tuple[float, float], odds: Values) -> Mask:
    """The object in a slice with some strokes, given a prior: as `completed`, with log odds ``(rows, columns)``.

    A background stroke within what the prior takes for the object goes through the middle of what is wrong, so the prior no
    longer counts as far as the outline is from the stroke: that part reaches from the stroke to the outline.
    """
    odds = odds.copy()
    wrong = (labels == BACKGROUND) & (odds > 0)
    if wrong.any():
        _take_back(odds, wrong, signed_distance(odds > 0))
    problem = _problem(image, labels, pixel_mm, probability(odds), _PRIOR_WEIGHT)
    return _kept(walk.solve(problem, len(_PRIOR_SWEEPS), _PRIOR_SWEEPS)[0] >= 0.5, labels)


def settled(
    mask: Mask,
    image: Levels,
    features: Levels,
    labels: Levels,
    pixel_mm: tuple[float, float],
    *,
    seed: int,
    threads: int = 1,
) -> Mask:
    """A completed slice whose outline also goes by looks.

    Args:
        mask: as `completed` found it.
        image, labels, pixel_mm: as there.
        features: of the slice, ``(features, rows, columns)`` uint8.
        seed: of the forest and of the choice of samples.
        threads: that fit trees and ask them.
    """
    distance = signed_distance(mask)
    near = _around(distance > -_SOFT * MOST)  # farther away no looks make up for the place
    if near is None:
        return mask
    image, features = np.ascontiguousarray(image[near]), np.ascontiguousarray(features[:, *near])
    labels, distance = labels[near], distance[near]
    inside = np.flatnonzero((distance > _SURE) | (labels == OBJECT))
    outside = np.flatnonzero(((distance < -_SURE) & (distance > -_REACH)) | (labels == BACKGROUND))
    if min(len(inside), len(outside)) < _FEWEST:
        return mask
    random = np.random.RandomState(seed)
    chosen = [some(part, _SAMPLES, random) for part in (inside, outside)]
    samples = features.reshape(len(features), -1)[:, np.concatenate(chosen)].T
    targets = np.repeat(np.array([OBJECT, BACKGROUND], np.uint8), [len(part) for part in chosen])
    forest = fit(np.ascontiguousarray(samples), targets, seed=seed, threads=threads)
    looks = log_odds(predict_levels(forest, features, OBJECT, threads))
    odds = np.clip(distance / np.float32(_SOFT), -MOST, MOST) + looks
    problem = _problem(image, labels, pixel_mm, probability(odds), _PRIOR_WEIGHT)
    found = mask.copy()
    found[near] = _kept(walk.solve(problem, len(_PRIOR_SWEEPS), _PRIOR_SWEEPS)[0] >= 0.5, labels)
    return found


def some(places: NDArray[np.intp], most: int, random: np.random.RandomState) -> NDArray[np.intp]:
    """At most so many of them, by chance, in no order."""
    return places if len(places) <= most else places[random.randint(0, len(places), most)]


def seeds(labels: Levels) -> walk.Seeds:
    """Strokes as seeds of the walker, of the labels' shape."""
    return _SEEDS[labels]


_SEEDS = np.array([walk.FREE, walk.OBJECT, walk.BACKGROUND], np.int8)


def _problem(image: Levels, labels: Levels, pixel_mm: tuple[float, float], prior: Values, weight: float) -> walk.Problem:
    weights = np.array([weight], np.float32)
    return walk.Problem(image[None], prior[None], weights, seeds(labels)[None], (1.0, *pixel_mm), _EDGE)


def _kept(mask: Mask, labels: Levels) -> Mask:
    """A mask on which every stroke has its label."""
    kept: Mask = (mask | (labels == OBJECT)) & (labels != BACKGROUND)
    return kept


def _outline(reached: Values, image: Levels) -> int:
    """The level, of 255, whose lines run along the strongest edges on average.

    A line of level t runs between two neighbouring pixels when one has at least t and the other has not.
    """
    levels = np.rint(reached * 255.0).astype(np.uint8)
    strength, length = _along_lines(levels, compute(image.astype(np.float32), _EDGES)[0])
    mean = np.where(length > 0, strength / np.maximum(length, 1.0), 0.0)[_LOWEST : _HIGHEST + 1]
    return _LOWEST + int(np.argmax(mean))


def _around(wanted: Mask) -> tuple[slice, slice] | None:
    """The smallest rectangle around the true pixels; None where there are none."""
    rows, columns = (np.flatnonzero(wanted.any(axis=axis)) for axis in (1, 0))
    return (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)) if len(rows) else None


@compiled
def _take_back(odds: Values, wrong: Mask, depth: Values) -> None:
    """Lower log odds to `_NOT_HERE` in discs around the pixels that are wrong, each as large as it is deep, in place."""
    rows, columns = odds.shape
    for r in range(rows):
        for c in range(columns):
            if not wrong[r, c]:
                continue
            radius = depth[r, c] * _AROUND + 1.0
            reach = int(radius)
            for y in range(max(0, r - reach), min(rows, r + reach + 1)):
                for x in range(max(0, c - reach), min(columns, c + reach + 1)):
                    if (y - r) ** 2 + (x - c) ** 2 <= radius * radius:
                        odds[y, x] = min(odds[y, x], _NOT_HERE)


@compiled
def _along_lines(levels: Levels, edges: Levels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How strong the edges along each level's line are in sum, ``(256,)``, and how long the line is.

    Args:
        levels: ``(rows, columns)``.
        edges: of the same shape, the square root of the gradient in any unit.
    """
    strength, length = np.zeros(257, np.int64), np.zeros(257, np.int64)
    rows, columns = levels.shape
    for r in range(rows):
        for c in range(columns):
            for down, along in ((1, 0), (0, 1)):
                if r + down >= rows or c + along >= columns:
                    continue
                one, other = np.int64(levels[r, c]), np.int64(levels[r + down, c + along])
                if one == other:
                    continue
                a, b = np.int64(edges[r, c]), np.int64(edges[r + down, c + along])
                first, last = min(one, other) + 1, max(one, other) + 1
                strength[first] += a * a + b * b
                strength[last] -= a * a + b * b
                length[first] += 1
                length[last] -= 1
    return strength.cumsum()[:256], length.cumsum()[:256]
