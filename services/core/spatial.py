"""The preset ``calque``: the forest says what the object looks like, the strokes say where it is, a walker weighs both.

In the order of the flow:

1. `learn`: annotated slices are completed (`services.core.completion`), the forest is fitted on their pixels, not on the
   few that were drawn on, and the shape between and beyond them is known (`services.core.shape`).
2. `draft`: one slice for itself, for whoever looks at it.
3. `coarsened`, `walked`: the whole volume on a coarser grid, with what is bound through the slices.
4. `refined`: slice by slice at full resolution, from the coarse solution; in whatever order, the bytes are the same.

A level is 255 × probability, stretched so that the mask is best near `services.core.mask.DEFAULT_THRESHOLD`; a stroke's own
voxels always have its label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core import completion, shape, walk
from services.core.completion import sampling, seeds, some, spread
from services.core.distance import signed_distance
from services.core.forest import Forest, fit, predict_levels
from services.core.labels import BACKGROUND, OBJECT
from services.core.samples import join, slice_samples
from services.core.shape import Mask, Shape, Values

Level = NDArray[np.uint8]
Spacing = tuple[float, float, float]

SCATTERED = 32
"""Strokes on so many times more pixels than the object is deep, in pixels, tell of thin or branched tissue, as cortex is:
it has no shape that goes on from slice to slice, and only its looks count."""

PLAIN = 200
"""Where a forest of the strokes alone tells the completed object from the rest of the slice by so many levels of 255 on
average, looks are enough, and where the strokes are would only mislead."""

_SAMPLES = 2000  # of each label and slice
_ASKED = 1500  # pixels of each kind that tell whether looks are enough
_NEAR = 25  # half of the background's samples are at most so many pixels away
_EDGE = 60.0
_WEIGHT = 0.02
_KNOWN = 1.0  # weight of a completed slice
_COARSE_SWEEPS = (12, 12, 20)
_DRAFT_SWEEPS = (12, 12, 20)
_REFINE_SWEEPS = 8
_COARSE_PIXELS = 160  # rows or columns that a coarse grid has at most
_HALF = 1.0 / 3.0  # what the walker reaches on the outline of an object: priors fade away from the strokes


@dataclass(frozen=True)
class Model:
    """What strokes say.

    Attributes:
        masks: the object in completed slices, ``(rows, columns)`` by the number of the slice.
        shape: where it is likely to be elsewhere.
        forest: of two classes, `OBJECT` and `BACKGROUND`.
        spacing_mm: distance of slices, rows and columns.
    """

    masks: Mapping[int, Mask]
    shape: Shape
    forest: Forest
    spacing_mm: Spacing


def two_labels(labels: Level, label: int) -> Level:
    """Labels with `OBJECT` for ``label`` and `BACKGROUND` for every other, 0 where nothing is drawn."""
    of_kind = np.full(256, BACKGROUND, np.uint8)
    of_kind[0], of_kind[label] = 0, OBJECT
    return of_kind[labels]


def learn(
    images: Callable[[int], Level],
    features: Callable[[int], Level],
    labels: Level,
    spacing_mm: Spacing,
    *,
    seed: int,
    threads: int = 1,
) -> Model | None:
    """Complete the annotated slices and fit the forest on them.

    Args:
        images: slice → ``(rows, columns)`` uint8 over the volume's window.
        features: slice → ``(features, rows, columns)`` uint8.
        labels: ``(slices, rows, columns)``, see `two_labels`.
        spacing_mm: distance of slices, rows and columns.
        seed: of the forest and of the choice of samples.
        threads: that fit trees.

    Returns:
        ``None`` where no slice has strokes of both labels, and where looks alone count (see `SCATTERED`, `PLAIN`).
    """
    pixel_mm = spacing_mm[1:]
    random = np.random.RandomState(seed)
    masks: dict[int, Mask] = {}
    parts: list[tuple[Level, Level]] = []
    first: Forest | None = None
    for index in completion.annotated(labels):
        image, drawn = images(index), labels[index]
        if not masks:
            mask = completion.completed(image, drawn, pixel_mm)
            mask = completion.settled(mask, image, features(index), drawn, pixel_mm, seed=seed, threads=threads)
            distance = signed_distance(mask)
            if _is_scattered(distance, drawn) or _is_plain(features(index), mask, drawn, seed, threads):
                return None
        else:
            first = first or _fitted(parts, seed, threads)
            looks = shape.log_odds(asked(first, features(index)))
            odds = Shape(masks, spacing_mm).log_odds(index) + spread(looks, sampling(drawn.shape), drawn.shape)
            mask = completion.completed_with(image, drawn, pixel_mm, odds)
            distance = signed_distance(mask)
        masks[index] = mask
        parts.append(_samples(features(index), drawn, distance, random))
    if not masks:
        return None
    return Model(masks, Shape(masks, spacing_mm), _fitted(parts, seed, threads), spacing_mm)


def asked(forest: Forest, features: Level) -> Level:
    """Levels of the object by its looks in a slice: of every pixel, in large slices of every second row and column."""
    step = sampling(features.shape[1:])
    return predict_levels(forest, np.ascontiguousarray(features[:, ::step, ::step]), OBJECT)


def problem(model: Model, index: int, image: Level, labels: Level, looks: Level | None) -> walk.Problem:
    """What is to be solved in slice ``index``.

    Args:
        model: what the strokes say.
        index: of the slice.
        image, labels: the slice's, ``(rows, columns)``.
        looks: what the forest says of it, see `asked`; not needed of a completed slice.
    """
    if index in model.masks:
        prior, weight = model.masks[index].astype(np.float32), _KNOWN
    else:
        assert looks is not None
        step = sampling(image.shape)
        every = slice(None, None, step)
        odds = model.shape.log_odds(index, every, every) + shape.log_odds(looks)
        prior, weight = spread(shape.probability(odds), step, image.shape), _WEIGHT
    weights = np.array([weight], np.float32)
    return walk.Problem(image[None], prior[None], weights, seeds(labels)[None], model.spacing_mm, _EDGE)


def draft(one: walk.Problem) -> Level:
    """Levels of a slice for itself, ``(rows, columns)``."""
    return _levels(walk.solve(one, len(_DRAFT_SWEEPS), _DRAFT_SWEEPS)[0], one.seeds[0])


def unary(odds: Values, appearance: Level) -> Level:
    """Levels of pixels for themselves: log odds of the shape and levels of the forest, both of any one shape."""
    return _levels(shape.probability(odds + shape.log_odds(appearance)), np.full(odds.shape, walk.FREE, np.int8))


def halvings(size: tuple[int, int]) -> int:
    """How often slices of so many rows and columns are halved for the coarse grid, at least once."""
    times = 1
    while max(size) > _COARSE_PIXELS << times:
        times += 1
    return times


def coarsened(one: walk.Problem, times: int) -> walk.Problem:
    """The problem of one slice on the coarse grid."""
    for _ in range(times):
        one = walk.halved(one)
    return one


def walked(slices: Sequence[walk.Problem]) -> Values:
    """The coarse solution of a volume: ``(slices, rows, columns)`` of the coarse grid."""
    whole = walk.Problem(
        np.concatenate([one.image for one in slices]),
        np.concatenate([one.prior for one in slices]),
        np.concatenate([one.weight for one in slices]),
        np.concatenate([one.seeds for one in slices]),
        slices[0].spacing_mm,
        slices[0].edge,
    )
    return walk.solve(whole, len(_COARSE_SWEEPS), _COARSE_SWEEPS)


def refined(one: walk.Problem, neighbours: tuple[Level, Level], coarse: Values, times: int) -> Level:
    """Levels of a slice at full resolution, ``(rows, columns)``.

    Args:
        one: the slice's problem.
        neighbours: images of the slices before and after it, at the ends of the volume its own.
        coarse: ``(3, ...)``, what `walked` found for the three, in order.
        times: how often the coarse grid was halved.
    """
    return _levels(walk.refined(one, neighbours, coarse, times, _REFINE_SWEEPS), one.seeds[0])


def _is_scattered(distance: Values, labels: Level) -> bool:
    return int(np.count_nonzero(labels == OBJECT)) > SCATTERED * max(float(distance.max()), 1.0)


def _is_plain(features: Level, mask: Mask, labels: Level, seed: int, threads: int) -> bool:
    random = np.random.RandomState(seed)
    drawn = labels > 0
    samples, targets = slice_samples(features, labels)
    chosen = np.concatenate([some(np.flatnonzero(targets == label), _ASKED, random) for label in (OBJECT, BACKGROUND)])
    forest = fit(np.ascontiguousarray(samples[chosen]), targets[chosen], seed=seed, threads=threads)
    parts = [some(np.flatnonzero(part), _ASKED, random) for part in (mask & ~drawn, ~mask & ~drawn)]
    if not all(part.size for part in parts):
        return False
    flat = features.reshape(len(features), -1)
    inside, outside = (predict_levels(forest, np.ascontiguousarray(flat[:, None, part]), OBJECT) for part in parts)
    return bool(inside.mean() - outside.mean() > PLAIN)


def _fitted(parts: list[tuple[Level, Level]], seed: int, threads: int) -> Forest:
    return fit(*join(parts), seed=seed, threads=threads)


def _samples(features: Level, labels: Level, distance: Values, random: np.random.RandomState) -> tuple[Level, Level]:
    """Some pixels of a completed slice off the object's outline, whose place is never quite sure.

    Args:
        features, labels: of the slice.
        distance: from the outline in pixels, positive inside.
        random: the choice.

    Returns:
        Samples ``(n, features)`` and their labels ``(n,)``: the object's, the background's near it and far from it.
    """
    inside = ((distance > 1.0) | (labels == OBJECT)) & (labels != BACKGROUND)
    outside = ((distance < -1.0) | (labels == BACKGROUND)) & (labels != OBJECT)
    near = outside & (distance > -_NEAR)
    object_ = some(np.flatnonzero(inside), _SAMPLES, random)
    background = [some(np.flatnonzero(part), _SAMPLES // 2, random) for part in (near, outside & ~near)]
    chosen = np.concatenate([object_, *background])
    targets = np.full(len(chosen), BACKGROUND, np.uint8)
    targets[: len(object_)] = OBJECT
    return np.ascontiguousarray(features.reshape(len(features), -1)[:, chosen].T), targets


def _levels(reached: Values, seeds: walk.Seeds) -> Level:
    """What the walker reaches as levels, the outline at one half; strokes have their label."""
    stretched = np.where(reached < _HALF, reached * (0.5 / _HALF), 0.5 + (reached - _HALF) * (0.5 / (1.0 - _HALF)))
    levels: Level = np.floor(stretched * 255.0 + 0.5).astype(np.uint8)
    levels[seeds == walk.OBJECT] = 255
    levels[seeds == walk.BACKGROUND] = 0
    return levels
