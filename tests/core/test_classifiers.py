"""Every classifier tells labels apart by the same features, and gives the same levels again."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.core import forest
from services.core.classifiers import NAMES, fit
from services.core.errors import ChoiceNeeded, InvalidInput

ROOT = Path(__file__).parents[2]
OTHERS = NAMES[1:]

Level = NDArray[np.uint8]


def blobs(classes: tuple[int, ...], each: int, seed: int = 0) -> tuple[Level, Level]:
    """Samples of five features, and their labels: a cloud around a centre of its own for each label."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).permutation(np.linspace(40, 215, 5 * len(classes))).reshape(-1, 5)
    labels = np.repeat(np.array(classes, dtype=np.uint8), each)
    samples = np.repeat(centres, each, axis=0) + rng.normal(0, 12, (len(labels), 5))
    return np.clip(samples, 0, 255).astype(np.uint8), labels


def as_image(samples: Level) -> Level:
    """Samples as features of an image of six rows."""
    return np.ascontiguousarray(samples.T).reshape(samples.shape[1], 6, -1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [(1, 2), (2, 3, 7)])
def test_a_label_is_likely_where_it_is_and_unlikely_where_another_is(name: str, classes: tuple[int, ...]) -> None:
    found = fit(name, *blobs(classes, 60), seed=3)
    assert found.classes.tolist() == list(classes)
    samples, labels = blobs(classes, 36, seed=1)
    for label in classes:
        levels = found.levels(as_image(samples), label)
        assert levels.dtype == np.uint8
        assert levels.shape == (6, 6 * len(classes))
        own = labels.reshape(levels.shape) == label
        assert levels[own].mean() > 180
        assert levels[~own].mean() < 75
        assert ((levels > 127) == own).mean() > 0.97


@pytest.mark.parametrize("name", NAMES)
def test_a_label_that_was_not_drawn_is_nowhere(name: str) -> None:
    found = fit(name, *blobs((1, 2), 20), seed=0)
    assert not found.levels(as_image(blobs((1, 2), 30)[0]), 3).any()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bytes(name: str) -> None:
    samples, labels = blobs((1, 2, 3), 50)
    image = np.random.default_rng(5).integers(0, 256, (5, 30, 40), dtype=np.uint8)
    first, again = (fit(name, samples, labels, seed=8, threads=threads).levels(image, 2) for threads in (1, 2))
    assert len(np.unique(first)) > 2
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("name", OTHERS)
def test_pixels_are_asked_in_parts_as_they_are_asked_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = fit(name, *blobs((1, 2), 50), seed=0)
    image = np.random.default_rng(6).integers(0, 256, (5, 9, 11), dtype=np.uint8)
    whole = found.levels(image, 1).astype(int)
    monkeypatch.setattr("services.core.classifiers._CHUNK", 40)
    assert np.abs(found.levels(image, 1) - whole).max() <= 1  # a product of other shape may round otherwise


def test_two_labels_share_all_probability() -> None:
    image = np.random.default_rng(6).integers(0, 256, (5, 9, 11), dtype=np.uint8)
    for name in NAMES:
        found = fit(name, *blobs((1, 2), 50), seed=0)
        total = found.levels(image, 1).astype(int) + found.levels(image, 2)
        assert np.abs(total - 255).max() <= 1, name


def test_the_forest_is_the_engine_s() -> None:
    samples, labels = blobs((1, 2), 40)
    own = forest.fit(samples, labels, seed=4)
    found = fit("forest", samples, labels, seed=4)
    image = np.random.default_rng(6).integers(0, 256, (5, 9, 11), dtype=np.uint8)
    np.testing.assert_array_equal(found.levels(image, 1), forest.predict_levels(own, image, 1))
    assert found.out_of_bag == own.out_of_bag
    assert all(math.isnan(fit(name, samples, labels, seed=4).out_of_bag) for name in OTHERS)


@pytest.mark.parametrize("name", NAMES)
def test_one_label_is_not_enough(name: str) -> None:
    with pytest.raises(ChoiceNeeded):
        fit(name, *blobs((1,), 20), seed=0)


def test_a_classifier_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidInput, match="naive_bayes"):
        fit("perceptron", *blobs((1, 2), 20), seed=0)


FOREST_ALONE = """
import sys
import numpy as np
from services.core.classifiers import fit

samples = np.arange(400, dtype=np.uint8).reshape(100, 4)
labels = (np.arange(100) % 2 + 1).astype(np.uint8)
fit("forest", samples, labels, seed=0).levels(samples.T.reshape(4, 10, 10), 1)
assert "sklearn" not in sys.modules
fit("naive_bayes", samples, labels, seed=0)
assert "sklearn" in sys.modules
"""


def test_the_forest_does_without_scikit_learn() -> None:
    done = subprocess.run([sys.executable, "-c", FOREST_ALONE], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
