"""Views of a place stay patches of it, and the loss that compares them is the one it is named after."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from services.core.volume import Volume
from trainer.backend import load
from trainer.config import Config
from trainer.contrast import nt_xent
from trainer.data import Patches, dataset, find_patches, stream
from trainer.loop import Loop
from trainer.views import changed, moved

CONFIG = Config(patch=16, step=8, content=0.0, batch=8, contrastive=1.0)


def patches(rows: int = 40) -> Patches:
    """Of a slice on which every pixel has a value of its own."""
    voxels = np.random.default_rng(2).permutation(rows * 40).reshape(1, rows, 40).astype(np.int16)
    return find_patches([Volume(voxels, np.eye(4), np.ones(1), np.zeros(1))], CONFIG)


def test_a_patch_moves_by_as_much_as_is_asked_up_to_the_border_of_its_slice():
    some = patches()
    place = some.places[:, 2:].tolist()
    inner, corner = place.index([8, 8]), place.index([0, 0])
    low, high = some.windows[0]
    grid = np.clip((some.volumes[0].voxels[0] - low) / (high - low), 0, 1)
    for rows, columns in ((0, 0), (2, -3), (-5, 1)):
        expected = grid[8 + rows : 24 + rows, 8 + columns : 24 + columns]
        np.testing.assert_allclose(some.near(inner, rows, columns), expected, atol=1e-6)
    np.testing.assert_array_equal(some.near(corner, -4, -1), some[corner])
    assert {max(map(abs, moved(50, np.random.default_rng(seed)))) for seed in range(200)} == set(range(9))


def test_a_view_is_decided_by_its_seed_and_stays_within_0_and_1():
    patch = np.random.default_rng(0).random((16, 16), np.float32)
    views = [changed(patch, np.random.default_rng(seed)) for seed in range(40)]
    for seed, view in enumerate(views):
        assert view.dtype == np.float32
        assert view.shape == patch.shape
        assert 0 <= view.min() < view.max() <= 1
        np.testing.assert_array_equal(view, changed(patch, np.random.default_rng(seed)))
    assert len({view.tobytes() for view in views}) == len(views)


def test_a_view_shows_its_patch_turned_or_mirrored_and_nothing_else():
    """Of the eight ways to lay a patch, a view correlates with one far more than by chance, and each occurs."""
    patch = np.random.default_rng(0).random((16, 16), np.float32)
    ways = [turned for k in range(4) for turned in (np.rot90(patch, k), np.rot90(patch, k).T)]
    seen = set()
    for seed in range(80):
        view = changed(patch, np.random.default_rng(seed))
        alike = [np.corrcoef(view.ravel(), way.ravel())[0, 1] for way in ways]
        assert max(alike) > 0.5
        seen.add(int(np.argmax(alike)))
    assert seen == set(range(8))


def test_the_loss_is_that_of_its_formula():
    rng = np.random.default_rng(1)
    one, other = (rng.normal(size=(5, 7)).astype(np.float32) for _ in range(2))
    vectors = [vector / math.sqrt(sum(x * x for x in vector)) for vector in np.concatenate([one, other])]
    expected = []
    for place in range(5):
        costs = []
        for mine, partner in ((place, place + 5), (place + 5, place)):
            likeness = {k: math.exp(float(vectors[mine] @ vectors[k]) / 0.2) for k in range(10) if k != mine}
            costs.append(-math.log(likeness[partner] / sum(likeness.values())))
        expected.append(sum(costs) / 2)
    np.testing.assert_allclose(np.asarray(nt_xent(one, other)), expected, rtol=1e-4)


def test_training_gets_two_views_of_a_patch_and_evaluation_the_patch_itself():
    some = patches()
    pairs = list(stream(some, CONFIG, 0))
    for corrupted, truth, hidden, other in pairs:
        np.testing.assert_array_equal(corrupted, np.where(hidden, 0, truth))
        assert (truth != other).any()
    again = [plane.tobytes() for planes in stream(some, CONFIG, 0, 3) for plane in planes]
    assert again == [plane.tobytes() for planes in pairs[3:] for plane in planes]
    plain = list(stream(some, replace(CONFIG, contrastive=0.0), None))
    for mine, theirs in zip(stream(some, CONFIG, None), plain, strict=True):
        for plane, same in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(plane, same)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_loss_brings_views_of_a_place_together(weight):
    """Trained by it on a batch, the encoder knows the batch's pairs by their mean latents; not so without it."""
    tf, _ = load()
    config = replace(CONFIG, contrastive=1.0, learning_rate=0.003)
    batch = next(iter(dataset(patches(64), config, 0)))
    loop = Loop(replace(config, contrastive=weight))

    def confusion() -> float:
        first, second = (tf.reduce_mean(loop.networks.encoder(views, training=True), (1, 2)) for views in batch[1::2])
        return float(tf.reduce_mean(nt_xent(first, second)))

    before = confusion()
    for _ in range(12):
        loop.step(*batch[: 4 if weight else 3])
    after = confusion()
    assert (after < 0.75 * before) == bool(weight), (before, after)
