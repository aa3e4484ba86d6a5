"""The whole flow on a phantom: it finds the object, and no order of visiting changes a byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from services.core.errors import ChoiceNeeded
from services.core.forest import forest_bytes, predict_levels
from services.core.labels import Edit, replay
from services.core.mask import best_threshold
from services.core.pipeline import Segmentation, segment, slice_features
from services.core.samples import gather, join, slice_samples
from services.core.volume import Volume, intensity_window

SHAPE = (7, 48, 60)
ROOT = Path(__file__).parents[2]


def phantom() -> tuple[Volume, NDArray[np.bool_]]:
    """A textured ellipsoid in a darker body with air around, and which voxels it has."""
    rng = np.random.default_rng(8)
    s, r, c = np.indices(SHAPE)
    body = (r - 24) ** 2 / 22**2 + (c - 30) ** 2 / 27**2 < 1
    truth = (s - 3) ** 2 / 3.2**2 + (r - 20) ** 2 / 9**2 + (c - 34) ** 2 / 12**2 < 1
    texture = ndimage.gaussian_filter(rng.normal(size=SHAPE), (0, 1, 1)) * 160
    voxels = 300 * body + truth * (texture + 60) + rng.normal(0, 12, SHAPE) * body
    affine = np.diag([4.0, 1.0, 1.0, 1.0])
    stored = np.clip(voxels, 0, None).astype(np.int16)
    return Volume(stored, affine, np.ones(7), np.zeros(7)), truth


@pytest.fixture(scope="module")
def drawn() -> tuple[Volume, NDArray[np.bool_], NDArray[np.uint8], Segmentation]:
    """The phantom, its truth, labels on two slices, and its segmentation."""
    volume, truth = phantom()
    labels = np.zeros(SHAPE, np.uint8)
    for s in (2, 3):
        labels[s, 4:44:8] = np.where(truth[s], 1, 2)[4:44:8]
    return volume, truth, labels, segment(volume, labels, seed=4)


Drawn = tuple[Volume, NDArray[np.bool_], NDArray[np.uint8], Segmentation]


def test_it_finds_the_object(drawn: Drawn) -> None:
    _, truth, _, found = drawn
    assert found.levels.shape == SHAPE
    assert best_threshold(found.levels, truth).dice > 0.85
    assert found.forest.out_of_bag > 0.9


@pytest.mark.parametrize("order", [range(6, -1, -1), [3, 2, 4, 1, 5, 0, 6]], ids=["backwards", "outwards"])
def test_the_order_of_slices_changes_no_byte(drawn: Drawn, order: list[int]) -> None:
    volume, _, labels, found = drawn
    again = segment(volume, labels, seed=4, order=order)
    assert again.levels.tobytes() == found.levels.tobytes()
    assert forest_bytes(again.forest) == forest_bytes(found.forest)


@pytest.mark.parametrize(("axis", "index"), [(0, 3), (1, 20), (1, 47), (2, 0), (2, 34)])
def test_a_slice_in_any_plane_has_the_bytes_of_the_volume(drawn: Drawn, axis: int, index: int) -> None:
    volume, _, _, found = drawn
    cut = [slice(None)] * 3
    cut[axis] = slice(index, index + 1)
    window, visited = intensity_window(volume), range(SHAPE[0])[cut[0]]
    parts = [slice_features(volume, window, one, rows=cut[1], columns=cut[2]) for one in visited]
    levels = np.stack([predict_levels(found.forest, part, 1) for part in parts])
    np.testing.assert_array_equal(levels, found.levels[tuple(cut)])


def test_samples_stand_in_the_order_of_the_voxels_however_they_were_drawn(drawn: Drawn) -> None:
    volume, _, labels, _ = drawn
    window = intensity_window(volume)
    flat = np.flatnonzero(labels)
    log = [Edit(flat[k : k + 1], int(labels.ravel()[flat[k]])) for k in np.random.default_rng(0).permutation(len(flat))]
    samples, targets = gather(lambda s: slice_features(volume, window, s), replay(SHAPE, log).array)
    np.testing.assert_array_equal(targets, labels.ravel()[flat])
    for k in (0, 5, len(flat) - 1):
        s, r, c = np.unravel_index(flat[k], SHAPE)
        np.testing.assert_array_equal(samples[k], slice_features(volume, window, int(s))[:, r, c])
    parts = [slice_samples(slice_features(volume, window, s), labels[s]) for s in range(7)]
    np.testing.assert_array_equal(join(parts)[0], samples)


def test_another_seed_is_another_forest_and_exchanged_labels_the_rest(drawn: Drawn) -> None:
    volume, _, labels, found = drawn
    assert segment(volume, labels, seed=5).levels.tobytes() != found.levels.tobytes()
    rest = segment(volume, labels, seed=4, label=2).levels.astype(int)
    assert np.abs(rest + found.levels - 255).max() <= 1


def test_one_label_is_not_enough(drawn: Drawn) -> None:
    volume, _, labels, _ = drawn
    for empty in (np.zeros_like(labels), labels * (labels == 1)):
        with pytest.raises(ChoiceNeeded):
            segment(volume, empty, seed=0)


FRESH = """
import sys
import numpy as np
from services.core import completion, distance, filters, forest, growing, model, reconstruct, spatial, walk
from services.core.forest import predict_levels
from services.core.pipeline import image_levels, segment, segment_by_shape, slice_features, warm_up
from services.core.reconstruct import connected, filled
from services.core.volume import Volume

ROOMS = completion, distance, filters, forest, growing, reconstruct, walk

def compiled():
    loops = [loop for room in ROOMS for loop in vars(room).values() if hasattr(loop, "signatures")]
    return sum(len(loop.signatures) for loop in loops)

warm_up()
before = compiled()
assert before > 10 and "sklearn" not in sys.modules  # it takes seconds to import
volume = Volume(np.arange(1280, dtype=np.int16).reshape(4, 16, 20), np.eye(4), np.ones(4), np.zeros(4))
labels = (np.arange(1280) % 4).astype(np.uint8).reshape(4, 16, 20)
line = slice_features(volume, (0.0, 1279.0), 1, columns=slice(5, 6))
predict_levels(segment(volume, labels).forest, line, 3)
noise = np.random.default_rng(0).integers(0, 256, (5, 40, 50), dtype=np.uint8)
rows, columns = np.mgrid[:340, :360]
balls = [np.hypot(rows - 150, columns - at) < 40 for at in (100, 250)]
image = (300 * (balls[0] | balls[1]) + np.random.default_rng(1).normal(50, 9, (4, 340, 360))).astype(np.int16)
labels = np.zeros((4, 340, 360), np.uint8)
labels[1, 148:152, 80:120], labels[1, 100:200, 170:173], labels[2, 149:151, 70:130] = 1, 2, 2
twins = Volume(image, np.diag([3.0, 1, 1, 1]), np.ones(4), np.zeros(4))
segment_by_shape(twins, labels)
learned = model.learn(
    lambda i: image_levels(twins, (0.0, 400.0), i), lambda i: slice_features(twins, (0.0, 400.0), i), labels,
    twins.spacing_mm, seed=0, threads=2,
)
assert learned.step == 2 and len(learned.masks) == 2
spatial.draft(learned, spatial.problem(learned, 1, image_levels(twins, (0.0, 400.0), 1), labels[1], None))
filled(connected(noise, noise > 250), noise > 250)
assert compiled() == before
"""


def test_after_a_warm_up_nothing_is_compiled() -> None:
    done = subprocess.run([sys.executable, "-c", FRESH], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
