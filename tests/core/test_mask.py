"""Masks, their volume and their agreement with a truth, against loops over thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.errors import InvalidInput
from services.core.mask import (
    at_threshold,
    best_threshold,
    dice,
    expected_dice,
    expected_threshold,
    histogram,
    volume_ml,
)

LEVELS = np.random.default_rng(3).integers(0, 256, size=(4, 9, 11)).astype(np.uint8)


@pytest.mark.parametrize("threshold", [1, 128, 255])
def test_a_mask_and_its_volume_come_of_the_same_threshold(threshold: int) -> None:
    mask = at_threshold(LEVELS, threshold)
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, LEVELS.astype(int) >= threshold)
    counts = histogram(LEVELS)
    assert counts.shape == (256,)
    assert volume_ml(counts, threshold, 0.004) == pytest.approx(mask.sum() * 0.004)


@pytest.mark.parametrize("threshold", [0, 256, -3])
def test_other_thresholds_are_refused(threshold: int) -> None:
    with pytest.raises(InvalidInput):
        at_threshold(LEVELS, threshold)


def test_dice() -> None:
    a = np.array([1, 1, 1, 0, 0], bool)
    b = np.array([0, 1, 1, 1, 1], bool)
    assert dice(a, b) == pytest.approx(2 * 2 / 7)
    assert dice(a, a) == 1.0
    assert dice(a, ~a) == 0.0
    assert dice(a & False, b & False) == 1.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.booleans()), min_size=1, max_size=40))
def test_the_best_threshold_is_the_best_of_all(pixels: list[tuple[int, bool]]) -> None:
    levels = np.array([p for p, _ in pixels], np.uint8)
    truth = np.array([t for _, t in pixels], bool)
    threshold, score = best_threshold(levels, truth)
    if not truth.any():
        assert score == 0.0
        return
    scores = [dice(levels >= t, truth) for t in range(1, 256)]
    assert score == pytest.approx(max(scores))
    assert dice(levels >= threshold, truth) == pytest.approx(score)


def test_the_expected_dice_is_that_of_many_draws() -> None:
    """Voxels are the object's as often as their level says: the mean of the real coefficients is the expected one."""
    random = np.random.RandomState(2)
    levels = random.randint(0, 256, 20000).astype(np.uint8)
    counts = histogram(levels)
    for threshold in (60, 128, 200):
        real = [dice(levels >= threshold, random.rand(20000) < levels / 255.0) for _ in range(20)]
        assert abs(np.mean(real) - expected_dice(counts, threshold)) < 0.005
    best = expected_threshold(counts)
    assert expected_dice(counts, best) == max(expected_dice(counts, t) for t in range(1, 256))
    assert abs(best / 255 - expected_dice(counts, best) / 2) < 0.01  # half of the coefficient (Lipton and others 2014)
    assert expected_threshold(histogram(np.zeros(9, np.uint8))) == 1
