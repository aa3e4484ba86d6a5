"""Whole slices from patches, and features in space."""

from __future__ import annotations

import numpy as np

from services.core.volume import Volume
from trainer.report.rebuild import corrupted_slice, feature_map, filled_slice


def volume() -> Volume:
    voxels = np.random.default_rng(0).integers(0, 900, (3, 50, 70)).astype(np.int16)
    return Volume(voxels, np.eye(4), np.ones(3), np.zeros(3))


def test_a_slice_is_corrupted_as_patches_are() -> None:
    truth, corrupted, hidden = corrupted_slice(volume(), 1, "shapes", 0.2, 16, 4)
    assert truth.shape == corrupted.shape == hidden.shape == (48, 64)
    assert abs(hidden.mean() - 0.2) < 0.01
    assert (corrupted[hidden] == 0).all()
    assert (corrupted[~hidden] == truth[~hidden]).all()
    again = corrupted_slice(volume(), 1, "shapes", 0.2, 16, 4)[2]
    assert (again == hidden).all()


def test_what_is_seen_stays_and_each_hidden_pixel_is_filled_with_no_seam() -> None:
    truth, corrupted, hidden = corrupted_slice(volume(), 1, "toss", 0.4, 16, 4)
    filled = filled_slice(lambda patches, where: np.full_like(patches, 0.5), corrupted, hidden, 16)
    assert (filled[~hidden] == truth[~hidden]).all()
    np.testing.assert_allclose(filled[hidden], 0.5, rtol=1e-6)


def test_each_patch_gets_its_own_pixels() -> None:
    _, corrupted, hidden = corrupted_slice(volume(), 0, "hole", 0.2, 16, 1)
    seen = []

    def fill(patches, where):
        seen.append((patches.shape, where.sum()))
        assert ((patches == 0) | ~where).all()
        return patches + where

    filled = filled_slice(fill, corrupted, hidden, 16)
    np.testing.assert_allclose(filled[hidden], 1.0, rtol=1e-6)
    assert seen[0][0] == (5 * 7, 16, 16)


def test_features_of_all_slices_become_colours() -> None:
    def encoder(batch, training):
        assert not training
        small = np.asarray(batch)[:, ::8, ::8]
        return np.concatenate([small, small**2, np.sin(9 * small), np.cos(7 * small)], axis=-1)

    colours = feature_map(encoder, volume())
    assert colours.shape == (3, 7, 9, 3)
    assert colours.min() == 0.0
    assert colours.max() == 1.0
