"""From probability to mask, and what a mask amounts to.

A probability is a level: p × 255, uint8. A mask is p ≥ threshold, with a threshold from 1 to 255.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.errors import InvalidInput

DEFAULT_THRESHOLD = 128
"""An object is where its probability is above one half."""

Level = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def at_threshold(levels: Level, threshold: int) -> Mask:
    """The mask p ≥ threshold, of the levels' shape. Raises: InvalidInput, the threshold is not in 1 to 255."""
    if not 1 <= threshold <= 255:
        raise InvalidInput(f"A threshold is 1 to 255, not {threshold}.")
    return levels >= np.uint8(threshold)


def histogram(levels: Level) -> NDArray[np.int64]:
    """Voxels at each level: ``(256,)`` int64."""
    return np.bincount(levels.ravel(), minlength=256).astype(np.int64)


def volume_ml(counts: NDArray[np.int64], threshold: int, voxel_ml: float) -> float:
    """The object's volume in millilitres at a threshold.

    Args:
        counts: ``(256,)``, as `histogram` gives them.
        threshold: 1 to 255.
        voxel_ml: volume of a voxel (`services.core.volume.Volume.voxel_ml`).
    """
    return float(counts[threshold:].sum()) * voxel_ml


def expected_dice(counts: NDArray[np.int64], threshold: int) -> float:
    """Dice coefficient that a mask is expected to have where levels are calibrated: p is the chance of being right.

    Args:
        counts: ``(256,)``, as `histogram` gives them.
        threshold: 1 to 255.
    """
    return float(_expected(counts)[threshold])


def expected_threshold(counts: NDArray[np.int64]) -> int:
    """The threshold, 1 to 255, of the highest expected Dice coefficient; arguments as of `expected_dice`.

    It is near half of that coefficient (Lipton, Elkan and Naryanaswamy 2014): below one half.
    """
    return 1 + int(np.argmax(_expected(counts)[1:]))


def _expected(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Expected Dice coefficient at each threshold, ``(256,)``."""
    chances = counts * np.arange(256) / 255.0
    size, hit = counts[::-1].cumsum()[::-1], chances[::-1].cumsum()[::-1]
    expected: NDArray[np.float64] = 2.0 * hit / np.maximum(size + chances.sum(), 1e-9)
    return expected


def dice(a: Mask, b: Mask) -> float:
    """Overlap of two masks of one shape: twice what they share over what they have; 1 when both are empty."""
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2.0 * int(np.count_nonzero(a & b)) / total if total else 1.0


class Agreement(NamedTuple):
    """How well a mask agrees with a truth at the best threshold."""

    threshold: int
    dice: float


def best_threshold(levels: Level, truth: Mask) -> Agreement:
    """The threshold, 1 to 255, at which the mask agrees best with a truth of the same shape; the lowest of equals."""
    inside, outside = histogram(levels[truth]), histogram(levels[~truth])
    hit = inside[::-1].cumsum()[::-1]
    drawn = hit + outside[::-1].cumsum()[::-1]
    scores = 2.0 * hit[1:] / np.maximum(drawn[1:] + inside.sum(), 1)
    best = int(np.argmax(scores))
    return Agreement(best + 1, float(scores[best]))
