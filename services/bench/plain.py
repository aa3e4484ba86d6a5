"""The plain way to do what the engine does: scipy and scikit-image as they come. The reference of every speed figure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters.rank import entropy
from skimage.future import fit_segmenter, predict_segmenter
from skimage.morphology import disk

from services.core.forest import DEPTH, TREES

Image = NDArray[np.float32]


def table_one(image: Image) -> NDArray[np.float32]:
    """Table I's 18 features of a slice, in the order of ``services.core.features.PAPER``.

    Args:
        image: ``(rows, columns)`` float32 in 0–255.

    Returns:
        ``(rows, columns, 18)`` float32.
    """
    levels = np.rint(image).astype(np.uint8)
    maps = [entropy(levels, disk(radius)) for radius in (1, 3)]  # type: ignore[no-untyped-call]
    maps += [_deviation(image, radius) for radius in (1, 5)]
    maps += [ndimage.gaussian_filter(image, sigma) for sigma in (3, 5)]
    maps += [ndimage.gaussian_gradient_magnitude(image, sigma) for sigma in (3, 5)]
    maps += [ndimage.gaussian_laplace(image, sigma) for sigma in (2, 32)]
    maps += [ndimage.maximum_filter(image, 2 * radius + 1) for radius in (1, 5, 9)]
    maps += [ndimage.minimum_filter(image, 2 * radius + 1) for radius in (1, 5, 9)]
    maps += [ndimage.uniform_filter(image, 2 * radius + 1) for radius in (1, 5)]
    return np.stack(maps, axis=-1).astype(np.float32)


def trainable_segmentation(features: NDArray[np.float32], labels: NDArray[np.uint8], *, jobs: int) -> NDArray[np.uint8]:
    """scikit-image's trainable segmentation of one slice with the forest of Table I.

    Args:
        features: ``(rows, columns, 18)``.
        labels: ``(rows, columns)``, 0 where nothing is drawn.
        jobs: processor cores that it may use.

    Returns:
        ``(rows, columns)`` labels of all pixels.
    """
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(TREES, max_depth=DEPTH, max_features="sqrt", n_jobs=jobs, random_state=0)
    fitted = fit_segmenter(labels, features, forest)  # type: ignore[no-untyped-call]
    result: NDArray[np.uint8] = predict_segmenter(features, fitted)  # type: ignore[no-untyped-call]
    return result


def _deviation(image: Image, radius: int) -> NDArray[np.float64]:
    wide = image.astype(np.float64)
    mean = ndimage.uniform_filter(wide, 2 * radius + 1)
    square = ndimage.uniform_filter(wide * wide, 2 * radius + 1)
    deviation: NDArray[np.float64] = np.sqrt(np.maximum(square - mean * mean, 0.0))
    return deviation
