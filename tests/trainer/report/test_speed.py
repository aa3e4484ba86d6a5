"""At once and patch by patch are the same where the encoder sees no farther than a patch, at the same places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainer.backend import load
from trainer.export import export_encoder
from trainer.report.speed import speed


@pytest.mark.parametrize("side", [24, 50])
def test_what_sees_no_farther_than_its_own_pixels_is_the_same_both_ways(tmp_path: Path, side: int) -> None:
    _, keras = load()
    keras.utils.set_random_seed(1)
    image = keras.Input((None, None, 1))
    model = keras.Model(image, keras.layers.Conv2D(3, 8, strides=8, padding="same")(image), name="blocks")
    export_encoder(model, tmp_path / "blocks.onnx")
    # Of 64 rows and 80 columns, "same" padding adds none, and neither to a patch of 24; to one of 50 it adds 3 before.
    pixels = np.random.default_rng(0).random((64, 80), np.float32)
    found = speed(model, (tmp_path / "blocks.onnx").read_bytes(), pixels, side)
    assert (found.rows, found.columns) == (64, 80)
    assert found.patches == ((64 - side) // 8 + 1) * ((80 - side) // 8 + 1)
    if side % 8 == 0:
        assert found.correlation == pytest.approx(1.0, abs=1e-6)
    else:
        assert found.correlation < 0.99
