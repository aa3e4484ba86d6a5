"""How well patches are filled in, beside doing nothing and beside a method that needs no training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from skimage.restoration import inpaint_biharmonic

from trainer.config import Config
from trainer.data import Patches, stream
from trainer.evaluate import psnr_db

Numbers = NDArray[np.float32]
Fill = Callable[[Numbers, NDArray[np.bool_]], Numbers]
"""Corrupted patches ``(n, side, side)`` and where they are → filled ones."""

CORRUPTED, BIHARMONIC = "as corrupted", "biharmonic"
_BATCH = 128
_similarity: Callable[..., float] = structural_similarity


@dataclass(frozen=True)
class Filling:
    """How near filled patches are to the true ones; intensities 0–1, so the peak is 1. Over all pixels of all patches.

    Attributes:
        psnr_db: over whole patches, the paper's.
        psnr_hidden_db: over the hidden pixels alone.
        ssim: structural similarity, mean over patches (Wang and others 2004, window 7).
        patches: how many.
    """

    psnr_db: float
    psnr_hidden_db: float
    ssim: float
    patches: int


def network(model: Any) -> Fill:
    """A Keras model as a way to fill patches."""

    def fill(corrupted: Numbers, hidden: NDArray[np.bool_]) -> Numbers:
        parts = [corrupted[start : start + _BATCH, ..., None] for start in range(0, len(corrupted), _BATCH)]
        filled: Numbers = np.concatenate([np.asarray(model(part, training=False))[..., 0] for part in parts])
        return filled

    return fill


def biharmonic(corrupted: Numbers, hidden: NDArray[np.bool_]) -> Numbers:
    """Hidden pixels as the biharmonic equation continues what is seen (scikit-image)."""
    filled = [inpaint_biharmonic(patch, where) for patch, where in zip(corrupted, hidden)]
    clipped: Numbers = np.clip(np.stack(filled), 0.0, 1.0).astype(np.float32)
    return clipped


def as_corrupted(corrupted: Numbers, hidden: NDArray[np.bool_]) -> Numbers:
    """Nothing is filled."""
    return corrupted


def fillings(ways: dict[str, Fill], patches: Patches, config: Config, most: int) -> dict[str, Filling]:
    """Measure ways to fill on the same patches, corrupted in the same way.

    Args:
        ways: by name.
        patches: to fill.
        config: its corruption, fraction and seed.
        most: so many patches at most, drawn by the seed.
    """
    corrupted, truth, hidden = (np.stack(some) for some in zip(*stream(patches.some(most, config.seed), config, None)))
    found = {}
    for name, fill in ways.items():
        filled = fill(corrupted, hidden)
        squares = (filled.astype(np.float64) - truth) ** 2
        window = min(7, patches.side - 1 + patches.side % 2)
        similar = [_similarity(a, b, data_range=1.0, win_size=window) for a, b in zip(truth, filled)]
        hidden_db = psnr_db(float(squares[hidden].mean()))
        found[name] = Filling(psnr_db(float(squares.mean())), hidden_db, float(np.mean(similar)), len(truth))
    return found
