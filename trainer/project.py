"""The encoder for the live segmentation: its latent brought to few features, each a number within 0–1.

A forest that is asked about every pixel has no use for hundreds of features that mostly repeat each other. The principal
components of the latent in the training volumes hold most of what differs from place to place; they are found once, when
the encoder is exported, so that a slice's features depend on nothing but the slice and the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from services.core.volume import intensity_window, to_window
from trainer.backend import load
from trainer.scans import Scan

CHANNELS = 8
_SLICES = 96  # that components are found on, of all volumes together
_ENDS = (0.5, 99.5)  # percentiles of a component that become 0 and 1

Numbers = NDArray[np.float32]


def projected(encoder: Any, scans: Sequence[Scan], *, channels: int = CHANNELS, seed: int = 0) -> Any:
    """An encoder followed by its latent's principal components.

    Args:
        encoder: Keras model, ``(n, rows, columns, 1)`` → ``(n, r, c, latent)``.
        scans: that components are found on: those that it was trained on.
        channels: how many components, at most ``latent``.
        seed: of the choice of slices.

    Returns:
        Keras model of the encoder's name, ``(n, rows, columns, 1)`` → ``(n, r, c, channels)`` within 0–1.
    """
    _, keras = load()
    latent = _latents(encoder, scans, seed)
    scaler = StandardScaler().fit(latent)
    found = PCA(min(channels, latent.shape[1]), random_state=seed).fit(scaler.transform(latent))
    low, high = np.percentile(found.transform(scaler.transform(latent)), _ENDS, axis=0)
    width = np.maximum(high - low, 1e-6)
    # Standardising, projecting and scaling are one product: ((x - mean) / scale - centre) @ components → 0–1.
    weights = (found.components_ / scaler.scale_).T / width
    bias = -(scaler.mean_ @ weights) - (found.mean_ @ found.components_.T + low) / width
    layer = keras.layers.Conv2D(len(low), 1, name="components")
    image = keras.Input((None, None, 1), name="slice")
    levels = keras.layers.ReLU(max_value=1.0)(layer(encoder(image)))
    layer.set_weights([weights[None, None].astype(np.float32), bias.astype(np.float32)])
    return keras.Model(image, levels, name=encoder.name)


def _latents(encoder: Any, scans: Sequence[Scan], seed: int) -> Numbers:
    """Latent vectors of some slices where there is something to see: ``(n, latent)``."""
    places = [(scan, index) for scan in scans for index in range(scan.volume.shape[0])]
    chosen = np.sort(np.random.default_rng(seed).permutation(len(places))[:_SLICES])
    windows = {id(scan): intensity_window(scan.volume) for scan in scans}
    found = []
    for scan, index in (places[number] for number in chosen):
        image = to_window(scan.volume.intensity(index), windows[id(scan)]) / np.float32(255.0)
        grid = np.asarray(encoder(image[None, ..., None], training=False))[0]
        found.append(grid[_seen(image, grid.shape[:2])])
    return np.concatenate(found)


def _seen(image: Numbers, grid: tuple[int, int]) -> NDArray[np.bool_]:
    """Grid points near which the slice is not empty; all of them where it is everywhere."""
    stride = -(-image.shape[0] // grid[0])
    padded = np.pad(image, [(0, points * stride - length) for points, length in zip(grid, image.shape)])
    seen: NDArray[np.bool_] = padded.reshape(grid[0], stride, grid[1], stride).max(axis=(1, 3)) > 0
    return seen if seen.any() else ~seen
