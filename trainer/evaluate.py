"""How well hidden pixels are filled in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scores:
    """Errors on patches whose intensities are 0–1, so that the peak is 1. Each is of all pixels of all patches together.

    Attributes:
        patches: how many.
        mse: mean squared error of the whole patches.
        psnr_db: peak signal-to-noise ratio of the whole patches, in dB.
        psnr_hidden_db: the same over the hidden pixels alone.
        psnr_corrupted_db: that of the corrupted patches themselves, whole: what doing nothing gives.
    """

    patches: int
    mse: float
    psnr_db: float
    psnr_hidden_db: float
    psnr_corrupted_db: float


def evaluate(predict: Callable[[Any], NDArray[np.float32]], batches: Iterable[tuple[Any, Any, Any]]) -> Scores:
    """Score a network.

    Args:
        predict: ``(n, side, side, 1)`` corrupted patches → filled in ones.
        batches: corrupted, true and hidden, as ``trainer.data.dataset`` gives them, at least one.
    """
    patches = pixels = hidden_pixels = 0
    whole = hidden_only = untouched = 0.0
    for corrupted, truth, hidden in batches:
        true, where = np.asarray(truth, np.float64), np.asarray(hidden)
        error = (np.asarray(predict(corrupted), np.float64) - true) ** 2
        whole += float(error.sum())
        hidden_only += float(error[where].sum())
        untouched += float(((np.asarray(corrupted, np.float64) - true) ** 2).sum())
        patches += len(true)
        pixels += true.size
        hidden_pixels += int(where.sum())
    return Scores(
        patches=patches,
        mse=whole / pixels,
        psnr_db=psnr_db(whole / pixels),
        psnr_hidden_db=psnr_db(hidden_only / hidden_pixels),
        psnr_corrupted_db=psnr_db(untouched / pixels),
    )


def psnr_db(mse: float) -> float:
    """Peak signal-to-noise ratio in dB for a peak of 1; infinite without error."""
    return float(-10.0 * np.log10(mse)) if mse > 0 else float("inf")
