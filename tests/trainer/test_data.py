"""Patches lie where they should, are scaled as the contract says, and no volume is in two parts of a split."""

from __future__ import annotations

import numpy as np
import pytest

from services.core.volume import Volume, intensity_window
from trainer.config import Config
from trainer.data import find_patches, split_volumes, stream


def volume(voxels: np.ndarray) -> Volume:
    slices = len(voxels)
    return Volume(voxels, np.eye(4), np.full(slices, 0.5), np.arange(slices, dtype=np.float64))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 10, 37, 100])
def test_each_volume_is_in_exactly_one_part(count):
    parts = split_volumes(count, (0.7, 0.2, 0.1), seed=5)
    assert sorted(number for part in parts for number in part) == list(range(count))
    assert parts[0]
    if count >= 3:
        assert all(parts)


def test_the_parts_have_their_size_and_the_seed_decides():
    parts = split_volumes(100, (0.7, 0.2, 0.1), seed=1)
    assert [len(part) for part in parts] == [70, 20, 10]
    assert parts == split_volumes(100, (0.7, 0.2, 0.1), seed=1)
    assert parts != split_volumes(100, (0.7, 0.2, 0.1), seed=2)
    assert [len(part) for part in split_volumes(5, (1.0, 0.0, 0.0), seed=0)] == [5, 0, 0]


def test_patches_come_only_from_their_own_volumes():
    config = Config(patch=16, step=16, content=0.0)
    # Each volume has levels of its own, so that a patch tells where it is from.
    volumes = [
        volume(np.full((2, 32, 32), 10 * k, np.uint8) + np.arange(k, k + 2, dtype=np.uint8)[:, None, None])
        for k in range(1, 7)
    ]
    parts = split_volumes(len(volumes), config.split, config.seed)
    seen = []
    for part in parts:
        patches = find_patches([volumes[number] for number in part], config)
        assert {id(v) for v in patches.volumes} == {id(volumes[number]) for number in part}
        seen += [id(patches.volumes[which]) for which in np.unique(patches.places[:, 0])]
    assert len(seen) == len(set(seen)) == len(volumes)


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
