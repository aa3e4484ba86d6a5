"""Corruption hides the fraction asked for, within what its module states, and the same seed hides the same pixels."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.corrupt import KINDS, TOLERANCE, corrupt

PATCH = np.random.default_rng(3).random((50, 50), np.float32) + np.float32(0.1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5, 0.9])
def test_the_fraction_is_met(kind, fraction):
    bound = 5 * np.sqrt(fraction * (1 - fraction) / PATCH.size) if kind == "toss" else TOLERANCE
    parts = [corrupt(PATCH, kind, fraction, (0, seed))[1].mean() for seed in range(40)]
    assert np.abs(np.array(parts) - fraction).max() <= bound + 1e-12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(16, 16), (7, 31), (1, 9)])
def test_small_and_oblong_patches_meet_it_within_their_own_bound(kind, size):
    for seed in range(20):
        hidden = corrupt(np.ones(size, np.float32), kind, 0.2, (seed,))[1]
        pixels = hidden.size
        bound = 5 * np.sqrt(0.16 / pixels) if kind == "toss" else max(TOLERANCE, 0.5 / pixels)
        assert abs(hidden.mean() - 0.2) <= bound + 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_pixels_are_0_and_the_others_stay(kind):
    before = PATCH.copy()
    corrupted, hidden = corrupt(PATCH, kind, 0.2, (1,))
    assert corrupted.dtype == np.float32
    assert (corrupted[hidden] == 0).all()
    np.testing.assert_array_equal(corrupted[~hidden], PATCH[~hidden])
    np.testing.assert_array_equal(PATCH, before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides(kind):
    first, again, other = (corrupt(PATCH, kind, 0.2, seed)[1] for seed in ((1, 2, 3), (1, 2, 3), (1, 2, 4)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def edges(hidden: np.ndarray) -> int:
    return int((hidden[1:] != hidden[:-1]).sum() + (hidden[:, 1:] != hidden[:, :-1]).sum())


def test_a_hole_is_in_fewer_pieces_than_shapes_and_shapes_than_tossed_pixels():
    hole, shapes, toss = (
        sum(edges(corrupt(PATCH, kind, 0.2, (s,))[1]) for s in range(20)) for kind in ("hole", "shapes", "toss")
    )
    assert hole < shapes < toss / 2
