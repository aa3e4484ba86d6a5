"""The comparison of classifiers: every one learns from the same samples, and the picture is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from services.bench.classifiers import compare, draw_comparison
from services.bench.forests import Drawn
from services.core.classifiers import NAMES


def test_every_classifier_learns_from_the_same_samples(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = np.indices((3, 30, 40)).sum(axis=0) % 3 == 0
    images = rng.normal(100, 20, (3, 6, 30, 40)) + 40 * truth[:, None]
    features = np.clip(images, 0, 255).astype(np.uint8)
    samples, labels = features[1, :, :12].reshape(6, -1).T.copy(), np.where(truth[1, :12], 5, 2).astype(np.uint8).ravel()
    found = compare(Drawn(samples, labels, features, truth, 5))
    assert [one.classifier for one in found] == list(NAMES)
    for one in found:
        assert 0.95 < one.dice <= 1.0, one
        assert one.fit_s > 0.0 < one.predict_s
    draw_comparison({"one": found, "again": found}, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.width > 800
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 5
