"""Whole slices: corrupted and filled in again by patches (the paper's Figure 8), and features of all slices in 3-D."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from services.core.volume import Volume, intensity_window, to_window
from trainer.corrupt import corrupt
from trainer.report.measures import Fill

Numbers = NDArray[np.float32]
_COLOURS = 3


def filled_slice(fill: Fill, corrupted: Numbers, hidden: NDArray[np.bool_], side: int) -> Numbers:
    """Fill a slice by overlapping patches whose seams are blended.

    Args:
        fill: of patches.
        corrupted, hidden: ``(rows, columns)``, both at least ``side``.
        side: of the patches; they lie half of it apart, and weigh less towards their borders.

    Returns:
        ``(rows, columns)``; what is seen stays as it is.
    """
    corners = [(row, column) for row in _starts(len(corrupted), side) for column in _starts(corrupted.shape[1], side)]
    parts = [(slice(row, row + side), slice(column, column + side)) for row, column in corners]
    filled = fill(np.stack([corrupted[part] for part in parts]), np.stack([hidden[part] for part in parts]))
    ramp = np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)).astype(np.float32)
    weight = np.outer(ramp, ramp)
    total, weights = np.zeros(corrupted.shape, np.float32), np.zeros(corrupted.shape, np.float32)
    for part, patch in zip(parts, filled):
        total[part] += weight * patch
        weights[part] += weight
    return np.where(hidden, total / weights, corrupted).astype(np.float32)


def _starts(length: int, side: int) -> list[int]:
    return sorted({*range(0, length - side + 1, max(1, side // 2)), length - side})


def corrupted_slice(
    volume: Volume, index: int, kind: str, fraction: float, side: int, seed: int
) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    """A slice of a volume, corrupted as patches of ``side`` are, tile by tile.

    Returns:
        True, corrupted, and where: ``(rows, columns)`` each, 0–1, rows and columns cut to whole tiles.
    """
    truth = to_window(volume.intensity(index), intensity_window(volume)) / np.float32(255.0)
    rows, columns = (length // side * side for length in truth.shape)
    truth = truth[:rows, :columns]
    hidden = np.zeros(truth.shape, bool)
    for row in range(0, rows, side):
        for column in range(0, columns, side):
            tile = truth[row : row + side, column : column + side]
            _, hidden[row : row + side, column : column + side] = corrupt(tile, kind, fraction, (seed, row, column))
    return truth, np.where(hidden, np.float32(0.0), truth), hidden


def feature_map(encoder: Any, volume: Volume) -> Numbers:
    """Dense features of all slices, stacked and reduced to three numbers by their principal components.

    Args:
        encoder: Keras model of whole slices.
        volume: whose slices.

    Returns:
        ``(slices, grid rows, grid columns, 3)`` float32, each number scaled to 0–1 between its 1st and 99th percentile.
    """
    window = intensity_window(volume)
    dense = []
    for index in range(volume.shape[0]):
        image = to_window(volume.intensity(index), window) / np.float32(255.0)
        dense.append(np.asarray(encoder(image[None, ..., None], training=False))[0])
    stacked = np.stack(dense)
    rows = stacked.reshape(-1, stacked.shape[-1])
    colours = PCA(_COLOURS, random_state=0).fit_transform(rows)
    low, high = np.percentile(colours, (1, 99), axis=0)
    scaled: NDArray[np.float64] = np.clip((colours - low) / np.maximum(high - low, 1e-9), 0.0, 1.0)
    return scaled.reshape(*stacked.shape[:-1], _COLOURS).astype(np.float32)
