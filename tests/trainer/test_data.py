"""Patches lie where they should, are scaled as the contract says, and no volume is in two parts of a split."""

from __future__ import annotations

import numpy as np
import pytest

from services.core.volume import Volume, intensity_window
from trainer.config import Config
from trainer.data import find_patches, steps_of, stream


def volume(voxels: np.ndarray) -> Volume:
    slices = len(voxels)
    return Volume(voxels, np.eye(4), np.full(slices, 0.5), np.arange(slices, dtype=np.float64))


def test_a_patch_is_the_window_scaled_to_1_whatever_the_rescale():
    rng = np.random.default_rng(0)
    source = volume(rng.integers(0, 4000, (3, 40, 36)).astype(np.int16))
    patches = find_patches([source], Config(patch=16, step=7, content=0.0))
    low, high = intensity_window(source)
    for number in range(len(patches)):
        _, index, row, column = patches.places[number]
        intensity = source.voxels[index, row : row + 16, column : column + 16] * 0.5 + index
        np.testing.assert_allclose(patches[number], np.clip((intensity - low) / (high - low), 0, 1), atol=1e-6)


def test_patches_reach_the_far_border_and_small_slices_have_none():
    config = Config(patch=16, step=10, content=0.0)
    patches = find_patches([volume(np.full((1, 40, 16), 9, np.uint8)), volume(np.full((4, 15, 99), 9, np.uint8))], config)
    assert patches.places.tolist() == [[0, 0, row, 0] for row in (0, 10, 20, 24)]
    assert len(find_patches([], config)) == 0


def test_empty_background_is_left_out(sample):
    config = Config()
    patches = find_patches([sample], config)
    everything = find_patches([sample], Config(content=0.0))
    assert 0 < len(patches) < len(everything)

    low, _ = intensity_window(sample)
    kept = {tuple(place) for place in patches.places}
    rng = np.random.default_rng(0)
    for place in everything.places[rng.choice(len(everything), 300, replace=False)]:
        _, s, r, c = place
        body = (sample.voxels[s, r : r + 50, c : c + 50].astype(np.float64) > low).mean()
        assert (tuple(place) in kept) == (body >= config.content)


def test_an_epoch_holds_every_patch_once_in_an_order_and_a_corruption_of_its_own():
    config = Config(patch=16, step=8, content=0.0, corruption="toss")
    source = volume(np.random.default_rng(0).integers(1, 200, (2, 32, 32)).astype(np.uint8))
    patches = find_patches([source], config)
    epochs = [[(t.tobytes(), h.tobytes()) for _, t, h in stream(patches, config, epoch)] for epoch in (0, 0, 1)]
    still = [t.tobytes() for _, t, _ in stream(patches, config, None)]

    assert epochs[0] == epochs[1]
    for epoch in epochs:
        assert sorted(t for t, _ in epoch) == sorted(still)
    assert [t for t, _ in epochs[0]] != [t for t, _ in epochs[2]]
    assert not {h for _, h in epochs[0]} & {h for _, h in epochs[2]}
    assert still == [patches[number].tobytes() for number in range(len(patches))]


def test_a_stream_goes_on_where_it_was():
    config = Config(patch=16, step=8, content=0.0)
    source = volume(np.random.default_rng(0).integers(1, 200, (2, 32, 32)).astype(np.uint8))
    patches = find_patches([source], config)
    whole, rest = list(stream(patches, config, 3)), list(stream(patches, config, 3, 5))
    assert len(rest) == len(whole) - 5 > 0
    for (a, b, c), (x, y, z) in zip(whole[5:], rest):
        assert (a == x).all()
        assert (b == y).all()
        assert (c == z).all()


def test_some_patches_are_drawn_by_the_seed():
    config = Config(patch=16, step=4, content=0.0)
    patches = find_patches([volume(np.random.default_rng(0).integers(1, 200, (3, 64, 64)).astype(np.uint8))], config)
    some = patches.some(50, 1)
    assert len(some) == 50 < len(patches)
    assert some.places.tolist() == patches.some(50, 1).places.tolist() != patches.some(50, 2).places.tolist()
    assert {tuple(place) for place in some.places} <= {tuple(place) for place in patches.places}
    assert patches.some(0, 1) is patches.some(10**6, 1) is patches
    assert steps_of(some, Config(patch=16, batch=16)) == 3
    assert steps_of(some, Config(patch=16, batch=16, max_steps=2)) == 2


@pytest.mark.parametrize("side", [8, 11, 32, 50, 64])
def test_patches_of_every_size_of_the_paper(side):
    config = Config(patch=side, step=side, content=0.0)
    source = volume(np.random.default_rng(0).integers(1, 200, (1, 70, 70)).astype(np.uint8))
    shown = list(stream(find_patches([source], config), config, 0))
    assert {truth.shape for _, truth, _ in shown} == {(side, side)}
    assert all(hidden.any() and not hidden.all() for _, _, hidden in shown)
