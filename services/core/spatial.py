"""The preset ``calque``: the forest says what the object looks like, the strokes say where it is, a walker weighs both.

In the order of the flow:

1. `services.core.model`: annotated slices are completed, and the shape between and beyond them is known; a forest is
   fitted on their pixels, not on the few that were drawn on.
2. `draft`: one slice for itself, for whoever looks at it.
3. `coarsened`, `walked`: the whole volume on a coarser grid, with what is bound through the slices.
4. `refined`: slice by slice at full resolution, from the coarse solution; in whatever order, the bytes are the same.

A level is 255 × the probability that a voxel is the object's, calibrated on volumes whose truth is known: so the mask with
the highest expected Dice coefficient can be told (`services.core.mask.expected_threshold`). A stroke's own voxels always
have its label.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.core import shape, walk
from services.core.completion import seeds
from services.core.forest import Forest, predict_levels
from services.core.labels import OBJECT
from services.core.model import Model
from services.core.shape import Values

Level = NDArray[np.uint8]

_EDGE = 60.0
_WEIGHT = 0.02
_KNOWN = (
    2.2  # a completed slice holds so much faster to what it was completed as than to the next slices, at full resolution
)
_COARSE_SWEEPS = (6, 10, 20)
_DRAFT_SWEEPS = (4, 8, 20)
_REFINE_SWEEPS = 6
_COARSE_PIXELS = 160  # rows or columns that a coarse grid has at most
_HALF = 1.0 / 3.0  # what the walker reaches on the outline of an object: priors fade away from the strokes
_SLOPE, _SHIFT = 1.9, -0.4  # of the log odds of what is found, by those of what it reaches: logistic regression
_FAINT = 4  # a lower level is none: the walker's tails reach through the whole volume
_STEPS = 4096  # in which what the walker reaches becomes a level

DEFAULT_THRESHOLD = 102
"""The mask is expected to be best near it as long as the whole volume is not known."""


def asked(model: Model, forest: Forest, features: Level) -> Level:
    """Levels of the object by its looks in a slice, on the pixels of the model; the forest is of `model.fitted`."""
    return predict_levels(forest, np.ascontiguousarray(features[:, :: model.step, :: model.step]), OBJECT)


def problem(model: Model, index: int, image: Level, labels: Level, looks: Level | None) -> walk.Problem:
    """What is to be solved in slice ``index``.

    Args:
        model: what the strokes say.
        index: of the slice.
        image, labels: the slice's, ``(rows, columns)``.
        looks: what the forest says of it, see `asked`; not needed of a completed slice.
    """
    if index in model.masks:
        across, down, _ = model.spacing_mm
        prior, weight = model.masks[index].astype(np.float32), _KNOWN * (down / across) ** 2
    else:
        assert looks is not None
        prior, weight = shape.probability(model.shape.log_odds(index) + shape.log_odds(looks)), _WEIGHT
    weights = np.array([weight], np.float32)
    whole = spread(prior, model.step, image.shape)
    return walk.Problem(image[None], whole[None], weights, seeds(labels)[None], model.spacing_mm, _EDGE)


def spread(values: Values, step: int, size: tuple[int, ...]) -> Values:
    """What is known on the pixels of a model, for all of a slice of this size: even between them."""
    while step > 1:
        step //= 2
        values = walk.smoothly_doubled(values, -(-size[0] // step), -(-size[1] // step))
    return values


def draft(model: Model, one: walk.Problem) -> Level:
    """Levels of a slice for itself, ``(rows, columns)``: solved on the pixels of the model."""
    small = coarsened(one, model.step.bit_length() - 1)
    found = walk.solve(small, len(_DRAFT_SWEEPS), _DRAFT_SWEEPS)[0]
    return _levels(spread(found, model.step, one.image.shape[1:]), one.seeds[0])


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
