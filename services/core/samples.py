"""What a forest learns from: features of labelled pixels, slice by slice, in the order of the voxels."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

Level = NDArray[np.uint8]


def gather(features_of: Callable[[int], Level], labels: Level) -> tuple[Level, Level]:
    """The labelled voxels as samples, in the order of their flat index.

    Args:
        features_of: acquisition slice → ``(features, rows, columns)`` uint8; asked once for each slice with labels.
        labels: ``(slices, rows, columns)`` uint8, 0 where nothing is drawn.

    Returns:
        Samples ``(n, features)`` uint8 and their labels ``(n,)`` uint8.
    """
    parts = [slice_samples(features_of(int(index)), labels[index]) for index in np.flatnonzero(labels.any(axis=(1, 2)))]
    if not parts:
        return np.zeros((0, 0), dtype=np.uint8), np.zeros(0, dtype=np.uint8)
    return join(parts)


def slice_samples(features: Level, labels: Level) -> tuple[Level, Level]:
    """The labelled pixels of one slice, row by row.

    Args:
        features: ``(features, rows, columns)`` uint8.
        labels: ``(rows, columns)`` uint8.

    Returns:
        Samples ``(n, features)`` uint8 and their labels ``(n,)`` uint8.
    """
    drawn = labels > 0
    return np.ascontiguousarray(features[:, drawn].T), labels[drawn]


def join(parts: Iterable[tuple[Level, Level]]) -> tuple[Level, Level]:
    """Samples of several slices, given in ascending order of the slices, as one."""
    samples, labels = zip(*parts)
    return np.concatenate(samples), np.concatenate(labels)
