"""The preset ``calque``: the forest says what the object looks like, the strokes say where it is, a walker weighs both.

In the order of the flow:

1. `learn`: annotated slices are completed (`services.core.completion`), the forest is fitted on their pixels, not on the
   few that were drawn on, and the shape between and beyond them is known (`services.core.shape`).
2. `draft`: one slice for itself, for whoever looks at it.
3. `coarsened`, `walked`: the whole volume on a coarser grid, with what is bound through the slices.
4. `refined`: slice by slice at full resolution, from the coarse solution; in whatever order, the bytes are the same.

A level is 255 × the probability that a voxel is the object's, calibrated on volumes whose truth is known: so the mask with
the highest expected Dice coefficient can be told (`services.core.mask.expected_threshold`). A stroke's own voxels always
have its label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core import completion, shape, walk
from services.core.completion import seeds, some
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

PLAIN, ALIKE = 200, 0.85
"""Where a forest of the strokes alone tells the completed object from the rest of the slice by so many levels of 255 on
average, and its mask agrees so well with it (Dice), looks are enough, and where the strokes are would only mislead."""

_SAMPLES = 1200  # of each label and slice
_ASKED = 500  # pixels of each kind that tell whether looks are enough
_NEAR = 25  # half of the background's samples are at most so many pixels away
_EDGE = 60.0
_WEIGHT = 0.02
_KNOWN = 1.0  # weight of a completed slice
_COARSE_SWEEPS = (6, 10, 20)
_DRAFT_SWEEPS = (4, 8, 20)
_REFINE_SWEEPS = 6
_MODEL_PIXELS = 320  # rows or columns that a model has at most
_COARSE_PIXELS = 160  # rows or columns that a coarse grid has at most
_HALF = 1.0 / 3.0  # what the walker reaches on the outline of an object: priors fade away from the strokes
_SLOPE, _SHIFT = 1.9, -0.4  # of the log odds of what is found, by those of what it reaches: logistic regression
_FAINT = 4  # a lower level is none: the walker's tails reach through the whole volume
_STEPS = 4096  # in which what the walker reaches becomes a level

DEFAULT_THRESHOLD = 102
"""The mask is expected to be best near it as long as the whole volume is not known."""


@dataclass(frozen=True)
class Model:
    """What strokes say.

    Attributes:
        step: the model is of every ``step``-th row and column, where slices are large.
        masks: the object in completed slices, on these pixels, by the number of the slice.
        shape: where it is likely to be elsewhere, on these pixels.
        forest: of two classes, `OBJECT` and `BACKGROUND`.
        spacing_mm: distance of slices, rows and columns of the volume.
    """

    step: int

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
    step = sampling(labels.shape[1:])
    pixel_mm = step * spacing_mm[1], step * spacing_mm[2]
    spaced = spacing_mm[0], *pixel_mm
    random = np.random.RandomState(seed)
    masks: dict[int, Mask] = {}
    parts: list[tuple[Level, Level]] = []
    first: Forest | None = None
    for index in completion.annotated(labels):
        image, drawn = thinned(images(index), labels[index], step)
        seen = np.ascontiguousarray(features(index)[:, ::step, ::step])
        if not masks:
            mask = completion.completed(image, drawn, pixel_mm)
            mask = completion.settled(mask, image, seen, drawn, pixel_mm, seed=seed, threads=threads)
            distance = signed_distance(mask)
            if _is_scattered(distance, drawn) or _is_plain(seen, mask, drawn, seed, threads):
                return None
        else:
            first = first or _fitted(parts, seed, threads)
            odds = Shape(masks, spaced).log_odds(index) + shape.log_odds(predict_levels(first, seen, OBJECT))
            mask = completion.completed_with(image, drawn, pixel_mm, odds)
            distance = signed_distance(mask)
        masks[index] = mask
        parts.append(_samples(seen, drawn, distance, random))
    if not masks:
        return None
    return Model(step, masks, Shape(masks, spaced), _fitted(parts, seed, threads), spacing_mm)


def asked(model: Model, features: Level) -> Level:
    """Levels of the object by its looks in a slice, on the pixels of the model."""
    return predict_levels(model.forest, np.ascontiguousarray(features[:, :: model.step, :: model.step]), OBJECT)


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
        prior, weight = shape.probability(model.shape.log_odds(index) + shape.log_odds(looks)), _WEIGHT
    weights = np.array([weight], np.float32)
    whole = spread(prior, model.step, image.shape)
    return walk.Problem(image[None], whole[None], weights, seeds(labels)[None], model.spacing_mm, _EDGE)


def sampling(size: tuple[int, ...]) -> int:
    """Of a slice of so many rows and columns a model is of every so manieth row and column: a power of two."""
    step = 1
    while max(size) > _MODEL_PIXELS * step:
        step *= 2
    return step


def thinned(image: Level, labels: Level, step: int) -> tuple[Level, Level]:
    """Image and labels of a slice on the pixels of a model: means, and strokes wherever they pass, the object's first."""
    if step == 1:
        return image, labels
    none = np.zeros((1, *image.shape), np.float32)
    one = walk.Problem(image[None], none, none[:, 0, 0], seeds(labels)[None], (1.0, 1.0, 1.0), _EDGE)
    while step > 1:
        one, step = walk.halved(one), step // 2
    return one.image[0], _LABELS[one.seeds[0]]


_LABELS = np.array([BACKGROUND, OBJECT, 0], np.uint8)  # by the value of a seed


def spread(values: Values, step: int, size: tuple[int, ...]) -> Values:
    """What is known on the pixels of a model, for all of a slice of this size: even between them."""
    while step > 1:
        step //= 2
        values = walk.smoothly_doubled(values, -(-size[0] // step), -(-size[1] // step))
    return values


def draft(one: walk.Problem) -> Level:
    """Levels of a slice for itself, ``(rows, columns)``."""
    return _levels(walk.solve(one, len(_DRAFT_SWEEPS), _DRAFT_SWEEPS)[0], one.seeds[0])


def unary(model: Model, looks: Level, rows: slice, columns: slice) -> Level:
    """Levels of a row or column of each slice, for themselves.

    Args:
        model: what the strokes say.
        looks: levels of the forest, ``(slices, rows or columns)``.
        rows, columns: what is crossed: one of them is of one pixel, the other of all.
    """
    every = [
        slice(part.start // model.step, part.start // model.step + 1) if part.start else part for part in (rows, columns)
    ]
    odds = np.stack([model.shape.log_odds(index, *every).ravel() for index in range(len(looks))])
    odds = odds.repeat(model.step, axis=1)[:, : looks.shape[1]]
    return _levels(shape.probability(odds + shape.log_odds(looks)), np.full(odds.shape, walk.FREE, np.int8))


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
    parts = [np.flatnonzero(part) for part in (mask & ~drawn, ~mask & ~drawn)]
    if not all(part.size for part in parts):
        return False
    flat = features.reshape(len(features), -1)
    inside, outside = (
        predict_levels(forest, np.ascontiguousarray(flat[:, None, some(part, _ASKED, random)]), OBJECT) for part in parts
    )
    hit, excess = (len(part) * np.mean(asked > 127) for part, asked in zip(parts, (inside, outside)))
    alike = 2.0 * hit / (hit + excess + len(parts[0]))
    return bool(inside.mean() - outside.mean() > PLAIN and alike > ALIKE)


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
    """What the walker reaches as calibrated levels; strokes have their label."""
    levels = _LEVELS[(reached * np.float32(_STEPS) + np.float32(0.5)).astype(np.uint16)]
    levels[seeds == walk.OBJECT] = 255
    levels[seeds == walk.BACKGROUND] = 0
    return levels


def _calibrated() -> Level:
    """The level of each step of what the walker reaches, ``(_STEPS + 1,)``."""
    reached = np.arange(_STEPS + 1) / _STEPS
    even = np.where(reached < _HALF, reached * (0.5 / _HALF), 0.5 + (reached - _HALF) * (0.5 / (1.0 - _HALF)))
    odds = np.log(np.maximum(even, 1e-9) / np.maximum(1.0 - even, 1e-9))
    levels: Level = np.rint(255.0 / (1.0 + np.exp(-(_SLOPE * odds + _SHIFT)))).astype(np.uint8)
    levels[levels < _FAINT] = 0
    return levels


_LEVELS = _calibrated()
