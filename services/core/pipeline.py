"""The flow on one page: labels and a volume in, probabilities out.

Service and tests share these steps. The service calls them slice by slice, the visible one first, and keeps features; the
bytes are the same in whatever order slices are visited, and whichever part of a slice is computed first:

* features of a slice depend on that slice and the volume's window alone;
* samples are gathered in the order of the voxels in the volume, not in the order of drawing or computing;
* the forest depends on the samples and the seed alone, and a pixel's probability on the forest and its features.

That is the preset ``paper``. The preset ``calque`` is the same with a model of where the object is: see
`services.core.spatial`. Its coarse solution needs the whole volume; after it, slices again come in any order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.core import model, reconstruct, spatial
from services.core.features import PAPER, Feature, compute, in_pixels
from services.core.forest import Forest, fit, predict_levels
from services.core.latent import Latent, beside
from services.core.samples import gather
from services.core.volume import Volume, intensity_window, to_window

Level = NDArray[np.uint8]


@dataclass(frozen=True)
class Segmentation:
    """What a forest says of a volume.

    Attributes:
        levels: ``(slices, rows, columns)`` uint8, probability of the shown label × 255.
        forest: that said it.
    """

    levels: Level
    forest: Forest


def segment(
    volume: Volume,
    labels: Level,
    *,
    seed: int = 0,
    label: int = 1,
    features: tuple[Feature, ...] = PAPER,
    order: Iterable[int] | None = None,
    latent: Latent | None = None,
) -> Segmentation:
    """Segment a volume from its labelled voxels.

    Args:
        volume: the image.
        labels: ``(slices, rows, columns)`` uint8, 0 where nothing is drawn (`services.core.labels.Labels.array`).
        seed: of the forest.
        label: whose probability is wanted.
        features: what the forest sees.
        order: in which slices are visited; None: from the first to the last.
        latent: what an encoder says of the volume, for the forest to see as well.

    Raises:
        ChoiceNeeded: fewer than two labels are drawn.
    """
    window = intensity_window(volume)

    def features_of(index: int) -> Level:
        return beside(slice_features(volume, window, index, features), latent, index, volume.shape[1:])

    samples, targets = gather(features_of, labels)
    forest = fit(samples, targets, seed=seed)
    levels = np.zeros(volume.shape, dtype=np.uint8)
    for index in range(volume.shape[0]) if order is None else order:
        levels[index] = predict_levels(forest, features_of(index), label)
    return Segmentation(levels, forest)


def segment_by_shape(
    volume: Volume, labels: Level, *, seed: int = 0, label: int = 1, latent: Latent | None = None
) -> Segmentation:
    """Segment a volume from its labelled voxels and where they are. Arguments, result and errors as of `segment`."""
    window = intensity_window(volume)

    def features_of(index: int) -> Level:
        return beside(slice_features(volume, window, index), latent, index, volume.shape[1:])

    def image_of(index: int) -> Level:
        return image_levels(volume, window, index)

    two = model.two_labels(labels, label)
    found = model.learn(image_of, features_of, two, volume.spacing_mm, seed=seed)
    if found is None:
        return segment(volume, labels, seed=seed, label=label, latent=latent)
    forest = model.fitted(found, seed=seed)
    last = volume.shape[0] - 1
    slices = []
    for index in range(volume.shape[0]):
        looks = None if index in found.masks else spatial.asked(found, forest, features_of(index))
        slices.append(spatial.problem(found, index, image_of(index), two[index], looks))
    times = spatial.halvings(volume.shape[1:])
    coarse = spatial.walked([spatial.coarsened(one, times) for one in slices])
    levels = np.zeros(volume.shape, dtype=np.uint8)
    for index, one in enumerate(slices):
        before, after = max(index - 1, 0), min(index + 1, last)
        levels[index] = spatial.refined(one, (image_of(before), image_of(after)), coarse[[before, index, after]], times)
    return Segmentation(levels, forest)


def image_levels(volume: Volume, window: tuple[float, float], index: int) -> Level:
    """Acquisition slice ``index`` over the volume's window: ``(rows, columns)`` uint8."""
    levels: Level = np.rint(to_window(volume.intensity(index), window)).astype(np.uint8)
    return levels


def slice_features(
    volume: Volume,
    window: tuple[float, float],
    index: int,
    features: tuple[Feature, ...] = PAPER,
    rows: slice | None = None,
    columns: slice | None = None,
    *,
    threads: int = 1,
) -> Level:
    """Features of a rectangle of acquisition slice ``index``: ``(len(features), rows, columns)`` uint8."""
    wanted = in_pixels(features, volume.spacing_mm[1:])
    return compute(to_window(volume.intensity(index), window), wanted, rows, columns, threads=threads)


def warm_up() -> None:
    """Load the compiled loops, or compile them, which takes seconds the first time, so that no stroke waits."""
    ramp = np.arange(2 * 24 * 24, dtype=np.uint16).reshape(2, 24, 24)
    labels = np.zeros(ramp.shape, dtype=np.uint8)
    labels[0, 4], labels[0, 20] = 1, 2
    volume = Volume(ramp, np.eye(4), np.ones(2), np.zeros(2))
    segment(volume, labels)
    # An object and its twin on slices that are large enough for a model of every other pixel, and one of two corrected.
    ramp, labels = np.zeros((3, 330, 96), dtype=np.uint16), np.zeros((3, 330, 96), dtype=np.uint8)
    ramp[:, 20:50, 20:40] = ramp[:, 20:50, 60:80] = 900
    labels[0, 25:45, 29:31], labels[0, 60], labels[0, 10:60, 50] = 1, 2, 2
    labels[1, 34:36, 18:42] = 2
    latent = Latent("", 8, np.zeros((3, 42, 12, 1), np.uint8))
    segment_by_shape(Volume(ramp, np.eye(4), np.ones(3), np.zeros(3)), labels, latent=latent)
    reconstruct.warm_up()
