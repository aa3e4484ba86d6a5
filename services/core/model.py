"""What strokes say of an object: annotated slices completed one after the other, and what is learned from them.

The slice that says most is completed for itself (`services.core.completion`), every further one with what the shape and the
looks of those before make likely. Completed slices give the shape between and beyond them (`services.core.shape`) and the
samples of the forest: pixels of the whole object and of all that is around it, not only those that were drawn on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

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
Samples = tuple[Level, Level]
Spacing = tuple[float, float, float]

SCATTERED = 32
"""Strokes on so many times more pixels than the object is deep, in pixels, tell of thin or branched tissue, as cortex is:
it has no shape that goes on from slice to slice, and only its looks count."""

PLAIN, ALIKE = 230, 0.85
"""Where a forest of the strokes alone tells the completed object from the rest of the slice by so many levels of 255 on
average, and its mask agrees so well with it (Dice), looks are enough, and where the strokes are would only mislead."""

_SAMPLES = 1200  # of each label and slice
_ASKED = 500  # pixels of each kind that tell whether looks are enough
_NEAR = 25  # half of the background's samples are at most so many pixels away
_ENDS = 1 / 8  # of the object's greatest depth: a slice with less of it says where it ends, not what it looks like
_PIXELS = 320  # rows or columns that a model has at most


@dataclass(frozen=True)
class Model:
    """What strokes say.

    Attributes:
        step: the model is of every ``step``-th row and column, where slices are large.
        masks: the object in completed slices, on these pixels, by the number of the slice.
        shape: where it is likely to be elsewhere, on these pixels.
        samples: for the forest: ``(n, features)`` and ``(n,)``, `OBJECT` and `BACKGROUND`.
        spacing_mm: distance of slices, rows and columns of the volume.
    """

    step: int
    masks: Mapping[int, Mask]
    shape: Shape
    samples: Samples
    spacing_mm: Spacing

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays held."""
        return self.shape.size_bytes + sum(one.nbytes for one in (*self.masks.values(), *self.samples))


@dataclass(frozen=True)
class Completed:
    """The object in one annotated slice.

    Attributes:
        mask: ``(rows, columns)`` on the pixels of the model.
        distance_mm: signed distance to its outline.
        samples: some pixels off the outline, ``(n, features)``, and their labels ``(n,)``.
        plain: looks alone are enough, or all there is (`SCATTERED`, `PLAIN`).
    """

    mask: Mask
    distance_mm: Values
    samples: Samples
    plain: bool = False


class Memory:
    """Slices that earlier strokes completed: not completed again while all that they go by is the same."""

    def __init__(self) -> None:
        self.slices: dict[bytes, Completed | None] = {}
        self.first_forest: tuple[bytes, Forest] | None = None

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays held."""
        slices = [one for one in self.slices.values() if one is not None]
        forest = self.first_forest[1].size_bytes if self.first_forest else 0
        return forest + sum(part.nbytes for one in slices for part in (one.mask, one.distance_mm, *one.samples))


def learn(
    images: Callable[[int], Level],
    features: Callable[[int], Level],
    labels: Level,
    spacing_mm: Spacing,
    *,
    seed: int,
    threads: int = 1,
    memory: Memory | None = None,
) -> Model | None:
    """Complete the annotated slices.

    Args:
        images: slice → ``(rows, columns)`` uint8 over the volume's window.
        features: slice → ``(features, rows, columns)`` uint8.
        labels: ``(slices, rows, columns)``, see `two_labels`.
        spacing_mm: distance of slices, rows and columns.
        seed: of the forests and of the choice of samples.
        threads: that fit trees and ask them.
        memory: of the same volume; it changes no byte of the result.

    Returns:
        ``None`` where no slice has strokes of both labels, and where looks alone count (see `SCATTERED`, `PLAIN`).
    """
    memory = memory or Memory()
    step = sampling(labels.shape[1:])
    pixel_mm = step * spacing_mm[1], step * spacing_mm[2]
    spaced = spacing_mm[0], *pixel_mm
    found: dict[bytes, Completed | None] = {}
    done: dict[int, Completed] = {}
    key = b"%d," % seed
    for index in completion.annotated(labels):
        key = _key(key, index, labels[index])
        if key not in memory.slices:
            image, drawn = thinned(images(index), labels[index], step)
            seen = np.ascontiguousarray(features(index)[:, ::step, ::step])
            odds = None
            if done:
                looks = predict_levels(_first_forest(memory, found, seed, threads), seen, OBJECT, threads)
                odds = _shape(done, spaced).log_odds(index) + shape.log_odds(looks)
            memory.slices[key] = _complete(image, seen, drawn, pixel_mm, odds, seed, threads)
        found[key] = one = memory.slices[key]
        if one is None:
            continue
        done[index] = one
        if one.plain:
            break
    memory.slices = found
    if not done or any(one.plain for one in done.values()):
        return None
    masks = {index: one.mask for index, one in done.items()}
    least_mm = max((float(one.distance_mm.max()) for one in done.values() if not one.mask.all()), default=0.0) * _ENDS
    samples = join(one.samples for one in done.values() if one.distance_mm.max() >= least_mm)
    return Model(step, masks, _shape(done, spaced), samples, spacing_mm)


def fitted(model: Model, *, seed: int, threads: int = 1) -> Forest:
    """The forest of the object's looks, of two classes: `OBJECT` and `BACKGROUND`."""
    return fit(*model.samples, seed=seed, threads=threads)


def two_labels(labels: Level, label: int) -> Level:
    """Labels with `OBJECT` for ``label`` and `BACKGROUND` for every other, 0 where nothing is drawn."""
    of_kind = np.full(256, BACKGROUND, np.uint8)
    of_kind[0], of_kind[label] = 0, OBJECT
    return of_kind[labels]


def sampling(size: tuple[int, ...]) -> int:
    """Of a slice of so many rows and columns a model is of every so manieth row and column: a power of two."""
    step = 1
    while max(size) > _PIXELS * step:
        step *= 2
    return step


def thinned(image: Level, labels: Level, step: int) -> tuple[Level, Level]:
    """Image and labels of a slice on the pixels of a model: means, and strokes wherever they pass, the object's first."""
    if step == 1:
        return image, labels
    none = np.zeros((1, *image.shape), np.float32)
    one = walk.Problem(image[None], none, none[:, 0, 0], seeds(labels)[None], (1.0, 1.0, 1.0), 1.0)
    while step > 1:
        one, step = walk.halved(one), step // 2
    return one.image[0], _LABELS[one.seeds[0]]


_LABELS = np.array([BACKGROUND, OBJECT, 0], np.uint8)  # by the value of a seed


def _key(before: bytes, index: int, labels: Level) -> bytes:
    """What the completion of a slice goes by: its strokes, and what those before it in the row went by."""
    return blake2b(before + b"%d," % index + labels.tobytes()).digest()


def _shape(done: Mapping[int, Completed], spaced: Spacing) -> Shape:
    return Shape({index: one.distance_mm for index, one in done.items()}, spaced[0])


def _first_forest(memory: Memory, found: Mapping[bytes, Completed | None], seed: int, threads: int) -> Forest:
    """The forest of the first completed slice alone."""
    key, first = next(iter(found.items()))
    assert first is not None
    if memory.first_forest is None or memory.first_forest[0] != key:
        memory.first_forest = key, fit(*first.samples, seed=seed, threads=threads)
    return memory.first_forest[1]


def _complete(
    image: Level,
    features: Level,
    labels: Level,
    pixel_mm: tuple[float, float],
    odds: Values | None,
    seed: int,
    threads: int,
) -> Completed | None:
    """Complete a slice, all on the pixels of the model; ``odds``: what the slices before make likely, if there are any.

    Where they expect nothing of the object and none of it is drawn, the result is None: strokes of the background then say
    where the object is not, and not that it is nowhere.
    """
    if odds is not None and not (odds > 0).any() and not (labels == OBJECT).any():
        return None
    if odds is None:
        mask = completion.completed(image, labels, pixel_mm)
        mask = completion.settled(mask, image, features, labels, pixel_mm, seed=seed, threads=threads)
    else:
        mask = completion.completed_with(image, labels, pixel_mm, odds)
    distance = signed_distance(mask)
    plain = odds is None and (_is_scattered(distance, labels) or _is_plain(features, mask, labels, seed, threads))
    samples = _samples(features, labels, distance, np.random.RandomState(seed))
    return Completed(mask, signed_distance(mask, pixel_mm), samples, plain)


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


def _samples(features: Level, labels: Level, distance: Values, random: np.random.RandomState) -> Samples:
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
