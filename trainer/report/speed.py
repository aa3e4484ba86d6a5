"""A slice through the encoder at once beside patch by patch, and ONNX Runtime beside Keras, on this machine.

The encoder is fully convolutional, so one pass over a slice gives a vector every `STRIDE` pixels; cutting out a patch
around each of these places and taking the middle of its grid gives one too. The two are not equal, as the encoder sees
beyond a patch where there is more to see: how far they agree is told as their correlation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.models import STRIDE

Numbers = NDArray[np.float32]
_ROUNDS = 3


@dataclass(frozen=True)
class Speed:
    """Seconds for the features of one slice, the fastest of a few times.

    Attributes:
        rows, columns: of the slice.
        patches: places that a patch around them lies in the slice.
        dense_s, patches_s: by ONNX Runtime, at once and patch by patch (once).
        keras_s: by Keras' ``predict``, at once.
        correlation: of the two ways' numbers at these places (Pearson).
    """

    rows: int
    columns: int
    patches: int
    dense_s: float
    patches_s: float
    keras_s: float
    correlation: float


def speed(encoder: Any, onnx_file: bytes, image: Numbers, side: int) -> Speed:
    """Measure.

    Args:
        encoder: Keras model.
        onnx_file: the same, exported.
        image: ``(rows, columns)`` float32, 0–1, larger than a patch.
        side: of a patch, in pixels.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def dense() -> Numbers:
        features: Numbers = session.run(None, {name: image[None, ..., None]})[0][0]
        return features

    middle = (-(-side // STRIDE) - 1) // 2
    corners = [
        (row, column)
        for row in range(0, image.shape[0] - side + 1, STRIDE)
        for column in range(0, image.shape[1] - side + 1, STRIDE)
    ]

    def one_by_one() -> Numbers:
        # One patch a run: several in one are hardly faster on a processor.
        parts = [image[None, row : row + side, column : column + side, None] for row, column in corners]
        return np.stack([session.run(None, {name: part})[0][0, middle, middle] for part in parts])

    dense_s, whole = _fastest(dense, _ROUNDS)
    patches_s, alone = _fastest(one_by_one, 1)
    keras_s, _ = _fastest(lambda: encoder.predict(image[None, ..., None], verbose=0), _ROUNDS)
    at = np.stack([whole[row // STRIDE + middle, column // STRIDE + middle] for row, column in corners])
    correlation = float(np.corrcoef(at.ravel(), alone.ravel())[0, 1])
    rows, columns = image.shape
    return Speed(rows, columns, len(corners), dense_s, patches_s, keras_s, correlation)


def _fastest(work: Callable[[], Numbers], rounds: int) -> tuple[float, Numbers]:
    """Seconds of the fastest of some rounds after one that is not counted, where there are several; and what came of it."""
    if rounds > 1:
        work()
    best, found = float("inf"), None
    for _ in range(rounds):
        started = time.perf_counter()
        found = work()
        best = min(best, time.perf_counter() - started)
    assert found is not None
    return best, found
